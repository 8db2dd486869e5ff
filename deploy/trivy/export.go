package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// schema is the first line's word for what the lines look like; docs/advisories-export.md tells of it.
const schema = "drydock.advisories/1"

// maxLine bounds a line: the longest of all OSV records compiled is a tenth of it.
const maxLine = 64 << 20

type head struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"`
	BuiltAt time.Time `json:"built_at"`
	Sample  bool      `json:"sample"`
	// Families: the moment of the youngest fact of each, null where nobody knows.
	Families map[string]*time.Time `json:"families"`
}

// line is one vulnerability of one package, merged from all records about it.
type line struct {
	Ecosystem string   `json:"ecosystem"`
	Package   string   `json:"package"`
	ID        string   `json:"id"`
	Aliases   []string `json:"aliases"`
	Severity  string   `json:"severity"`
	Score     *float64 `json:"score"`
	Title     string   `json:"title"`
	// Ceiling: no version above it is affected; empty when there is no such bound.
	Ceiling  string     `json:"ceiling"`
	Affected []interval `json:"affected"`
	Versions []string   `json:"versions"`
}

// interval is affected versions without a gap; with no upper bound it never ends.
type interval struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
	Limit        string `json:"limit"`
	// Module names modules of an rpm distribution, see streams; unknownModule where nobody says which.
	Module string `json:"module"`
}

const unknownModule = "*"

// streams returns `module:stream` for each that a Module may mean; `nodejs@16.20.2` is of 16, 16.20 and 16.20.2.
func streams(module string) []string {
	if module == "" {
		return []string{""}
	}
	var found []string
	for _, word := range strings.Fields(module) {
		name, version, led := strings.Cut(word, "@")
		if !led {
			found = append(found, word)
			continue
		}
		for i, letter := range version + "." {
			if letter == '.' {
				found = append(found, name+":"+version[:i])
			}
		}
	}
	return found
}

type lineReader struct {
	scanner *bufio.Scanner
	number  int
}

// open reads the first line and holds it against the schema.
func open(export io.Reader) (*lineReader, head, error) {
	reader := &lineReader{scanner: bufio.NewScanner(export)}
	reader.scanner.Buffer(make([]byte, 1<<20), maxLine)
	var first head
	found, err := reader.read(&first)
	if err != nil {
		return nil, head{}, err
	}
	if !found || first.Schema != schema {
		return nil, head{}, fmt.Errorf("standard input is no export of this form (%s)", schema)
	}
	return reader, first, nil
}

// next returns at most so many lines, none at the end.
func (r *lineReader) next(most int) ([]line, error) {
	lines := make([]line, 0, most)
	for len(lines) < most {
		var one line
		found, err := r.read(&one)
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		lines = append(lines, one)
	}
	return lines, nil
}

func (r *lineReader) read(into any) (bool, error) {
	if !r.scanner.Scan() {
		return false, r.scanner.Err()
	}
	r.number++
	if err := json.Unmarshal(r.scanner.Bytes(), into); err != nil {
		return false, fmt.Errorf("line %d: %w", r.number, err)
	}
	return true, nil
}
