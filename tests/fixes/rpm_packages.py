"""Packages of a distribution that is made for trying fixes: version 1 is in the image, 2 and 3 are offered."""

# ruff: noqa: E501  # specs have the width that they have

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

_HEAD = """
Name: {name}
Version: {version}
Release: 1.el9
Summary: {name}
License: MIT
Group: System
{tags}
%description
{name}
{parts}
%install
{install}
%files
{files}
{rest}
%changelog
* Thu Jan 01 2026 Somebody <somebody@example.invalid> - {version}-1
- {version}
"""


def _spec(
    name: str, version: int, *, tags: str = "", parts: str = "", install: str = "", files: str = "", rest: str = ""
) -> str:
    install = (
        "set -e; B=%{buildroot}; mkdir -p $B/usr/bin $B/usr/lib64 $B/etc $B/usr/share/" + name + "\n" + install
    )
    return _HEAD.format(
        name=name, version=version, tags=tags, parts=parts, install=install, files=files, rest=rest
    )


def specs(version: int) -> dict[str, str]:
    """Returns the sources of one version, by name."""
    v = version
    later = v > 1
    found = {
        "base": _spec(
            "base",
            v,
            tags="Provides: /bin/sh\nProvides: user(daemon)\nProvides: /sbin/ldconfig",
            install="""mkdir -p $B/usr/sbin $B/usr/lib $B/var/lib/rpm $B/tmp
ln -s usr/bin $B/bin; ln -s usr/sbin $B/sbin; ln -s usr/lib $B/lib; ln -s usr/lib64 $B/lib64
printf 'ID=almalinux\\nVERSION_ID="9.4"\\nID_LIKE="rhel centos fedora"\\n' > $B/etc/os-release
printf 'root:x:0:0::/:/bin/sh\\ndaemon:x:2:2::/:/sbin/nologin\\n' > $B/etc/passwd
printf 'root:x:0:\\ndaemon:x:2:\\n' > $B/etc/group""",
            files="%dir %attr(0555,root,root) /usr/bin\n%dir /usr/sbin\n%dir /usr/lib\n%dir /usr/lib64\n%dir /etc\n"
            "/bin\n/sbin\n/lib\n/lib64\n/etc/os-release\n%config(noreplace) /etc/passwd\n%config(noreplace) /etc/group\n"
            "%dir %attr(1777,root,root) /tmp",
            rest="%transfiletriggerin -P 2000000 -- /lib /usr/lib /lib64 /usr/lib64\n/sbin/ldconfig\n",
        ),
        "libdemo": _spec(
            "libdemo",
            v,
            tags="Epoch: 1\n%global _binary_payload w9.gzdio",
            parts="%package tools\nSummary: tools\nGroup: System\nRequires: libdemo%{?_isa} = %{epoch}:%{version}-%{release}\n"
            "%description tools\ntools\n",
            install=f"""echo lib{v} > $B/usr/lib64/libdemo.so.1.{v}
ln -s libdemo.so.1.{v} $B/usr/lib64/libdemo.so.1
echo tool{v} > $B/usr/bin/demo-tool; chmod 755 $B/usr/bin/demo-tool; ln $B/usr/bin/demo-tool $B/usr/bin/demo-same
""",
            files=f"/usr/lib64/libdemo.so.1\n/usr/lib64/libdemo.so.1.{v}",
            rest="%files tools\n/usr/bin/demo-tool\n/usr/bin/demo-same\n%post -p /sbin/ldconfig\n%postun -p /sbin/ldconfig\n",
        ),
        "confdemo": _spec(
            "confdemo",
            v,
            tags="BuildArch: noarch\n%global _binary_payload w7.xzdio",
            install=f"""for f in kept changed replaced same gone dropped-changed was; do echo $f 1 > $B/etc/confdemo-$f.conf; done
for f in kept changed replaced; do echo $f {v} > $B/etc/confdemo-$f.conf; done
mkdir -p $B/usr/share/confdemo/sub $B/var/log
echo doc{v} > $B/usr/share/confdemo/README; echo de{v} > $B/usr/share/confdemo/de.mo
"""
            + (
                "rm $B/etc/confdemo-gone.conf $B/etc/confdemo-dropped-changed.conf; mkdir -p $B/usr/share/confdemo/new;"
                " echo n > $B/usr/share/confdemo/new/file\nrmdir $B/usr/share/confdemo/sub\n"
                if later
                else "echo old > $B/usr/share/confdemo/sub/dropped\n"
            ),
            files="%config(noreplace) /etc/confdemo-kept.conf\n%config(noreplace) /etc/confdemo-changed.conf\n"
            "%config /etc/confdemo-replaced.conf\n%config(noreplace) /etc/confdemo-same.conf\n"
            + ("/etc/confdemo-was.conf\n" if later else "%config /etc/confdemo-was.conf\n")
            + "%ghost /var/log/confdemo.log\n%ghost %config(noreplace) /var/log/confdemo.state\n"
            "%dir /usr/share/confdemo\n%doc /usr/share/confdemo/README\n%lang(de) /usr/share/confdemo/de.mo\n"
            + (
                "/usr/share/confdemo/new\n"
                if later
                else "%config /etc/confdemo-gone.conf\n%config /etc/confdemo-dropped-changed.conf\n"
                "/usr/share/confdemo/sub\n"
            ),
        ),
        "capdemo": _spec(
            "capdemo",
            v,
            tags="Requires: (libdemo if base else base)\n%global _binary_payload w19.zstdio",
            install=f"echo ping{v} > $B/usr/bin/capdemo; echo su{v} > $B/usr/bin/capdemo-su; mkdir -p $B/lib;"
            f" echo u{v} > $B/lib/capdemo.conf",
            files="%attr(0755,root,root) %caps(cap_net_raw,cap_net_admin=ep) /usr/bin/capdemo\n"
            "%attr(4750,daemon,daemon) /usr/bin/capdemo-su\n/lib/capdemo.conf\n"
            "%dir %attr(0750,daemon,root) /usr/share/capdemo",
        ),
        "scripted": _spec(
            "scripted",
            v,
            install=f"echo {v} > $B/usr/share/scripted/f",
            files="/usr/share/scripted",
            rest="%post\necho done >> /var/scripted\n",
        ),
        "guarded": _spec(
            "guarded",
            v,
            tags="%global _binary_payload w9.bzdio",
            install=f"echo {v} > $B/usr/share/guarded/f",
            files="/usr/share/guarded",
            rest='%preun\nif [ $1 -eq 0 ] ; then\n  rm -rf /var/cache/guarded\nfi\n%post\nif [ "$1" = 1 ]; then\n  '
            "touch /var/guarded\nfi\n/sbin/ldconfig || :\n",
        ),
        "wants-new": _spec(
            "wants-new",
            v,
            tags="Requires: brand-new" if later else "",
            install=f"echo {v} > $B/usr/share/wants-new/f",
            files="/usr/share/wants-new",
        ),
        "locked": _spec("locked", v, install=f"echo {v} > $B/usr/share/locked/f", files="/usr/share/locked"),
        "leaf": _spec(
            "leaf",
            v,
            tags=f"Requires: guarded >= {v}\nConflicts: guarded < {v}",
            install=f"echo {v} > $B/usr/share/leaf/f",
            files="/usr/share/leaf",
        ),
    }
    if later:
        found["brand-new"] = _spec(
            "brand-new", v, install="echo > $B/usr/share/brand-new/f", files="/usr/share/brand-new"
        )
    return found


def build(version: int, folder: Path, environment: dict[str, str]) -> Sequence[Path]:
    """Builds one version with rpmbuild."""
    top = folder / f"top-{version}"
    for name, text in specs(version).items():
        spec = top / f"{name}.spec"
        spec.parent.mkdir(parents=True, exist_ok=True)
        spec.write_text(text)
        command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", "--define", "_build_id_links none"]
        command += ["--define", "__os_install_post %{nil}", "--define", "debug_package %{nil}", str(spec)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"rpmbuild of {name} failed:\n{done.stderr}")
    return sorted((top / "RPMS").rglob("*.rpm"))
