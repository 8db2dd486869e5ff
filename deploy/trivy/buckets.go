package main

import (
	"regexp"
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/ecosystem"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/bucket"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
)

// languageSource is said to be where advisories of language packages come from: one bucket for each ecosystem.
var languageSource = types.DataSource{ID: vulnerability.OSV, Name: "OSV", URL: "https://osv.dev/"}

// place is where Trivy looks an ecosystem up.
type place struct {
	name   string
	eco    ecosystem.Type
	source types.DataSource
	// system tells that its advisories name one fixed version instead of ranges.
	system bool
	// unfixed tells that Trivy takes a missing fixed version for "not fixed yet".
	unfixed bool
	// since tells that Trivy knows of a first affected version.
	since bool
}

type newBucket func(types.DataSource) (bucket.DataSourceBucket, error)

var languages = map[string]newBucket{
	"Bitnami":   bucket.NewBitnami,
	"Go":        bucket.NewGo,
	"Maven":     bucket.NewMaven,
	"NuGet":     bucket.NewNuGet,
	"Packagist": bucket.NewComposer,
	"Pub":       bucket.NewPub,
	"PyPI":      bucket.NewPyPI,
	"RubyGems":  bucket.NewRubyGems,
	"crates.io": bucket.NewCargo,
	"npm":       bucket.NewNpm,
}

var (
	ubuntuRelease = regexp.MustCompile(`^(\d\d\.\d\d)(:LTS)?$`)
	suseRelease   = regexp.MustCompile(`^Linux Enterprise .*?(\d+)(?:[ -]SP(\d+))?(?:-[A-Z]+)?$`)
	leapRelease   = regexp.MustCompile(`^Leap (\d+\.\d+)$`)
)

// placeOf returns where Trivy looks for an ecosystem of OSV's; false where it looks nowhere.
func placeOf(name string) (place, bool) {
	if create, known := languages[name]; known {
		made, err := create(languageSource)
		if err != nil {
			return place{}, false
		}
		return place{name: made.Name(), eco: made.Ecosystem(), source: languageSource}, true
	}
	family, release, _ := strings.Cut(name, ":")
	switch family {
	case "Debian":
		return system(bucket.NewDebian(release), vulnerability.Debian, release, place{unfixed: true})
	case "Ubuntu":
		if found := ubuntuRelease.FindStringSubmatch(release); found != nil {
			return system(bucket.NewUbuntu(found[1]), vulnerability.Ubuntu, found[1], place{unfixed: true})
		}
	case "Alpine":
		release = strings.TrimPrefix(release, "v")
		return system(bucket.NewAlpine(release), vulnerability.Alpine, release, place{unfixed: true, since: true})
	case "Wolfi":
		return system(bucket.NewWolfi(""), vulnerability.Wolfi, "rolling", place{})
	case "Chainguard":
		return system(bucket.NewChainguard(""), vulnerability.Chainguard, "rolling", place{})
	case "AlmaLinux":
		return system(bucket.NewAlma(release), vulnerability.Alma, release, place{})
	case "Rocky Linux":
		return system(bucket.NewRocky(release), vulnerability.Rocky, release, place{})
	case "Photon OS":
		return system(bucket.NewPhoton(release), vulnerability.Photon, release, place{})
	case "Azure Linux":
		if release == "2" { // it was called CBL-Mariner then
			return system(bucket.NewMariner("2.0"), vulnerability.CBLMariner, release, place{unfixed: true})
		}
		return system(bucket.NewAzureLinux(release+".0"), vulnerability.AzureLinux, release, place{unfixed: true})
	case "openSUSE":
		if release == "Tumbleweed" {
			return system(bucket.NewOpenSUSETumbleweed(), vulnerability.SuseCVRF, release, place{})
		}
		if found := leapRelease.FindStringSubmatch(release); found != nil {
			return system(bucket.NewOpenSUSE(found[1]), vulnerability.SuseCVRF, found[1], place{})
		}
	case "SUSE":
		if found := suseRelease.FindStringSubmatch(release); found != nil {
			release = found[1]
			if found[2] != "" {
				release += "." + found[2]
			}
			return system(bucket.NewSUSELinuxEnterprise(release), vulnerability.SuseCVRF, release, place{})
		}
	}
	return place{}, false
}

func system(made bucket.Bucket, source types.SourceID, release string, knows place) (place, bool) {
	knows.name, knows.eco, knows.system = made.Name(), made.Ecosystem(), true
	knows.source = types.DataSource{ID: source, Name: string(source) + " by way of OSV", URL: languageSource.URL}
	return knows, release != ""
}
