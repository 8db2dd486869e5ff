"""Images whose files are made for the corpus in the formats of their tools, and labelled so.

Names and versions are those of real packages with known vulnerabilities; nothing lies behind them.
"""

from __future__ import annotations

import json
from pathlib import Path

from services.lab.layer import BuiltLayer
from tests.quality.corpus.image import layer_of

GEMS = {
    "actionpack": "6.0.0",
    "nokogiri": "1.10.0",
    "rack": "2.0.5",
    "rails": "6.0.0",
    "loofah": "2.2.2",
    "puma": "3.12.0",
    "json": "2.2.0",
    "devise": "4.6.0",
    "jwt": "2.2.1",
}
COMPOSER = {
    "symfony/http-foundation": "v4.4.0",
    "symfony/http-kernel": "v4.4.0",
    "guzzlehttp/guzzle": "7.4.0",
    "guzzlehttp/psr7": "1.8.0",
    "laravel/framework": "v8.0.0",
    "twig/twig": "v2.12.0",
    "monolog/monolog": "1.24.0",
    "psr/log": "1.1.3",
    "phpunit/phpunit": "4.8.27",
}
NUGET = {
    "Newtonsoft.Json": "12.0.1",
    "System.Text.Json": "6.0.0",
    "Microsoft.Data.SqlClient": "2.1.1",
    "System.Net.Http": "4.3.0",
    "NuGet.Common": "5.11.0",
    "log4net": "2.0.5",
}
BITNAMI = {"redis": "7.0.0", "postgresql": "14.2.0", "nginx": "1.20.0", "wordpress": "6.0.0"}


def ruby(cache: Path) -> tuple[BuiltLayer, ...]:
    """Specifications as rubygems writes them on installation."""
    folder = "usr/local/lib/ruby/gems/3.2.0/specifications"
    return (
        layer_of(
            {f"{folder}/{name}-{version}.gemspec": _gemspec(name, version) for name, version in GEMS.items()}
        ),
    )


def php(cache: Path) -> tuple[BuiltLayer, ...]:
    """What Composer 2 leaves in a vendor folder."""
    packages = [
        {
            "name": name,
            "version": version,
            "version_normalized": f"{version.removeprefix('v')}.0",
            "type": "library",
        }
        for name, version in COMPOSER.items()
    ]
    installed = {"packages": packages, "dev": True, "dev-package-names": []}
    return (layer_of({"app/vendor/composer/installed.json": json.dumps(installed, indent=4)}),)


def dotnet(cache: Path) -> tuple[BuiltLayer, ...]:
    """What `dotnet publish` leaves beside a program."""
    libraries: dict[str, object] = {
        f"{name}/{version}": {
            "type": "package",
            "serviceable": True,
            "sha512": "",
            "path": f"{name.lower()}/{version}",
            "hashPath": f"{name.lower()}.{version}.nupkg.sha512",
        }
        for name, version in NUGET.items()
    }
    target: dict[str, object] = {
        f"{name}/{version}": {"runtime": {f"lib/net6.0/{name}.dll": {"assemblyVersion": f"{version}.0"}}}
        for name, version in NUGET.items()
    }
    project = {"made/1.0.0": {"type": "project", "serviceable": False, "sha512": ""}}
    framework = ".NETCoreApp,Version=v6.0"
    deps = {
        "runtimeTarget": {"name": framework, "signature": ""},
        "compilationOptions": {},
        "targets": {framework: {"made/1.0.0": {"dependencies": NUGET, "runtime": {"made.dll": {}}}, **target}},
        "libraries": {**project, **libraries},
    }
    return (layer_of({"app/made.deps.json": json.dumps(deps, indent=2)}),)


def bitnami(cache: Path) -> tuple[BuiltLayer, ...]:
    """The SPDX documents that Bitnami's images carry."""
    return (
        layer_of(
            {
                f"opt/bitnami/{name}/.spdx-{name}.spdx": json.dumps(_spdx(name, version), indent=2)
                for name, version in BITNAMI.items()
            }
        ),
    )


def _gemspec(name: str, version: str) -> str:
    return (
        "# -*- encoding: utf-8 -*-\n"
        f"# stub: {name} {version} ruby lib\n\n"
        "Gem::Specification.new do |s|\n"
        f'  s.name = "{name}".freeze\n'
        f'  s.version = "{version}"\n\n'
        '  s.required_rubygems_version = Gem::Requirement.new(">= 0".freeze) '
        "if s.respond_to? :required_rubygems_version=\n"
        '  s.require_paths = ["lib".freeze]\n'
        '  s.authors = ["Made for the corpus".freeze]\n'
        '  s.licenses = ["MIT".freeze]\n'
        '  s.summary = "made".freeze\n'
        "end\n"
    )


def _spdx(name: str, version: str) -> dict[str, object]:
    purl = f"pkg:bitnami/{name}@{version}-0?arch=amd64&distro=debian-12"
    return {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": f"SPDX document for {name} {version}",
        "documentNamespace": f"https://example.org/spdx/{name}-{version}",
        "creationInfo": {"created": "2024-01-01T00:00:00Z", "creators": ["Organization: Made for the corpus"]},
        "documentDescribes": [f"SPDXRef-Package-{name}"],
        "packages": [
            {
                "SPDXID": f"SPDXRef-Package-{name}",
                "name": name,
                "versionInfo": f"{version}-0",
                "downloadLocation": "NOASSERTION",
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION",
                "copyrightText": "NOASSERTION",
                "filesAnalyzed": False,
                "supplier": "Organization: VMware, Inc.",
                "externalRefs": [
                    {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
                ],
            }
        ],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": f"SPDXRef-Package-{name}",
            }
        ],
    }
