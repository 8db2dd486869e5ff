// trivy-advisories writes Drydock's advisories as a database of Trivy's, so that both engines judge by the same facts.
//
//	drydock advisories export | trivy-advisories CACHE_DIR
//
// Trivy then reads them with --cache-dir CACHE_DIR --skip-db-update. What is there already is replaced whole or not at
// all. What Trivy's database cannot say is left out, counted and told on standard error.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/metadata"
	bolt "go.etcd.io/bbolt"
)

// rowsInTransaction bounds what one transaction holds in memory.
const rowsInTransaction = 20_000

func main() {
	if len(os.Args) != 2 || os.Args[1] == "" || os.Args[1][0] == '-' {
		fmt.Fprintln(os.Stderr, "usage: drydock advisories export | trivy-advisories CACHE_DIR")
		os.Exit(2)
	}
	if err := replace(os.Stdin, os.Args[1], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "trivy-advisories:", err)
		os.Exit(1)
	}
}

// replace writes a whole database beside the old one, then takes its place.
func replace(export io.Reader, cacheDir string, told io.Writer) error {
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return err
	}
	draft, err := os.MkdirTemp(cacheDir, ".db-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(draft)
	tally, err := write(export, draft)
	if err != nil {
		return err
	}
	// Renamed away, not removed, so that there is none for a moment only; whoever has it open keeps it.
	final, old := filepath.Join(cacheDir, "db"), draft+".old"
	if err := os.Rename(final, old); err != nil && !os.IsNotExist(err) {
		return err
	}
	defer os.RemoveAll(old)
	if err := os.Rename(draft, final); err != nil {
		return errors.Join(err, os.Rename(old, final))
	}
	tally.tell(told)
	return nil
}

// write fills a new database in the folder.
func write(export io.Reader, folder string) (*tally, error) {
	reader, head, err := open(export)
	if err != nil {
		return nil, err
	}
	// One sync at the end does: a draft that a crash cut short is never renamed.
	if err := db.Init(folder, db.WithBoltOptions(&bolt.Options{NoSync: true, Timeout: time.Second})); err != nil {
		return nil, err
	}
	defer db.Close()
	store := newStore(db.Config{})
	for {
		lines, err := reader.next(rowsInTransaction)
		if err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			break
		}
		if err := store.putAll(lines); err != nil {
			return nil, err
		}
	}
	if store.tally.written == 0 {
		return nil, fmt.Errorf("the export holds nothing that Trivy can use")
	}
	if err := store.putVulnerabilities(); err != nil {
		return nil, err
	}
	if err := store.db.Connection().Sync(); err != nil {
		return nil, err
	}
	if err := about(head, store).write(folder); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	return store.tally, metadata.NewClient(folder).Update(metadata.Metadata{
		Version:      db.SchemaVersion,
		UpdatedAt:    head.BuiltAt,
		DownloadedAt: now,
		NextUpdate:   now.Add(24 * time.Hour),
	})
}

// origin tells Drydock what the database was made of; Trivy does not read it.
type origin struct {
	Version    string                `json:"version"`
	BuiltAt    time.Time             `json:"built_at"`
	Sample     bool                  `json:"sample"`
	Ecosystems []string              `json:"ecosystems"`
	Families   map[string]*time.Time `json:"families"`
}

// about names the ecosystems of which at least one advisory could be written.
func about(head head, store *store) *origin {
	made := &origin{Version: head.Version, BuiltAt: head.BuiltAt, Sample: head.Sample, Families: map[string]*time.Time{}}
	for ecosystem := range store.spoken {
		made.Ecosystems = append(made.Ecosystems, ecosystem)
		family, _, _ := strings.Cut(ecosystem, ":")
		made.Families[family] = head.Families[family]
	}
	sort.Strings(made.Ecosystems)
	return made
}

func (o *origin) write(folder string) error {
	content, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "drydock.json"), content, 0o644)
}

// tally counts what was written and what Trivy's database has no place for.
type tally struct {
	written int
	leftOut map[string]int
}

func (t *tally) tell(to io.Writer) {
	fmt.Fprintf(to, "%d advisories written\n", t.written)
	reasons := make([]string, 0, len(t.leftOut))
	for reason := range t.leftOut {
		reasons = append(reasons, reason)
	}
	sort.Strings(reasons)
	for _, reason := range reasons {
		fmt.Fprintf(to, "%d left out: %s\n", t.leftOut[reason], reason)
	}
}
