package main

import (
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	bolt "go.etcd.io/bbolt"
)

// store puts advisories where Trivy looks for them.
type store struct {
	db     db.Config
	places map[string]*place // nil: Trivy looks nowhere
	known  map[string]types.Vulnerability
	spoken map[string]bool // ecosystems with an advisory
	tally  *tally
}

func newStore(config db.Config) *store {
	return &store{
		db:     config,
		places: map[string]*place{},
		known:  map[string]types.Vulnerability{},
		spoken: map[string]bool{},
		tally:  &tally{leftOut: map[string]int{}},
	}
}

// putAll writes the lines in one transaction.
func (s *store) putAll(lines []line) error {
	return s.db.Connection().Update(func(tx *bolt.Tx) error {
		for i := range lines {
			if err := s.put(tx, &lines[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) put(tx *bolt.Tx, one *line) error {
	at, err := s.place(tx, one.Ecosystem)
	if err != nil {
		return err
	}
	if at == nil {
		s.tally.leftOut["Trivy does not look for "+one.Ecosystem]++
		return nil
	}
	if !at.system {
		name := vulnerability.NormalizePkgName(at.eco, one.Package)
		advisory := types.Advisory{VendorIDs: one.Aliases, VulnerableVersions: constraints(one)}
		return s.write(tx, at, one, name, &advisory)
	}
	modules := map[string][]interval{}
	for _, each := range one.Affected {
		modules[each.Module] = append(modules[each.Module], each)
	}
	for module, intervals := range modules {
		advisory, reason := toAdvisory(at, one, intervals)
		if module == unknownModule {
			reason = "a fix in a module that nobody names"
		}
		if reason != "" {
			s.tally.leftOut[reason]++
			continue
		}
		for _, stream := range streams(module) {
			name := one.Package
			if stream != "" {
				name = stream + "::" + name
			}
			if err := s.write(tx, at, one, name, &advisory); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) write(tx *bolt.Tx, at *place, one *line, name string, advisory *types.Advisory) error {
	if err := s.db.PutAdvisory(tx, []string{at.name, name}, one.ID, advisory); err != nil {
		return err
	}
	s.remember(at.source.ID, one)
	s.spoken[one.Ecosystem] = true
	s.tally.written++
	return nil
}

// place returns where an ecosystem's advisories go, and says who speaks there when it is met first.
func (s *store) place(tx *bolt.Tx, ecosystem string) (*place, error) {
	if at, met := s.places[ecosystem]; met {
		return at, nil
	}
	found, known := placeOf(ecosystem)
	if !known {
		s.places[ecosystem] = nil
		return nil, nil
	}
	s.places[ecosystem] = &found
	return &found, s.db.PutDataSource(tx, found.name, found.source)
}

// toAdvisory returns the advisory of a system's package, or why Trivy could not be told.
func toAdvisory(at *place, one *line, intervals []interval) (types.Advisory, string) {
	advisory := types.Advisory{VendorIDs: one.Aliases}
	if len(one.Versions) > 0 {
		return advisory, "single versions of a system's package"
	}
	for _, each := range intervals {
		if each.Introduced != "0" && !(at.since && len(intervals) == 1) {
			return advisory, "a first affected version of a system's package"
		}
		if each.LastAffected != "" || each.Limit != "" {
			return advisory, "a last affected version of a system's package"
		}
		if each.Introduced != "0" {
			advisory.AffectedVersion = each.Introduced
		}
	}
	switch {
	case len(intervals) == len(one.Affected): // of all fixes the highest
		advisory.FixedVersion = one.Ceiling
	case len(intervals) == 1:
		advisory.FixedVersion = intervals[0].Fixed
	default:
		return advisory, "several fixes in one module"
	}
	if advisory.FixedVersion == "" && !at.unfixed {
		return advisory, "a vulnerability without a fix where Trivy wants one"
	}
	return advisory, ""
}

// constraints says in the words of Trivy's own OSV importer which versions are affected.
func constraints(one *line) []string {
	found := make([]string, 0, len(one.Affected)+len(one.Versions))
	for _, each := range one.Affected {
		var parts []string
		if each.Introduced != "0" {
			parts = append(parts, ">="+each.Introduced)
		}
		switch {
		case each.Fixed != "":
			parts = append(parts, "<"+each.Fixed)
		case each.LastAffected != "":
			parts = append(parts, "<="+each.LastAffected)
		case each.Limit != "":
			parts = append(parts, "<"+each.Limit)
		case len(parts) == 0:
			parts = append(parts, ">=0")
		}
		found = append(found, strings.Join(parts, ", "))
	}
	for _, version := range one.Versions {
		found = append(found, "="+version)
	}
	return found
}

// remember keeps title and severity of an id; where packages disagree, the worst counts, as Trivy has room for one.
func (s *store) remember(source types.SourceID, one *line) {
	known, met := s.known[one.ID]
	if !met {
		known = types.Vulnerability{VendorSeverity: types.VendorSeverity{}, CVSS: types.VendorCVSS{}}
	}
	if known.Title == "" {
		known.Title = one.Title
	}
	if severity, err := types.NewSeverity(one.Severity); err == nil && severity > known.VendorSeverity[source] {
		known.VendorSeverity[source] = severity
	}
	if one.Score != nil && *one.Score > known.CVSS[source].V3Score {
		known.CVSS[source] = types.CVSS{V3Score: *one.Score}
	}
	s.known[one.ID] = known
}

// putVulnerabilities writes what is known of each id; Trivy shows none that has no such entry.
func (s *store) putVulnerabilities() error {
	return s.db.Connection().Update(func(tx *bolt.Tx) error {
		for id, known := range s.known {
			if err := s.db.PutVulnerability(tx, id, known); err != nil {
				return err
			}
		}
		return nil
	})
}
