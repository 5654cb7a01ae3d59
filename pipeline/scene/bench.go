package scene

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// benchLines bounds the lines read per picture when the benchmark looks for other signs' names: far more than a check reads.
const benchLines = 40

// TextBench is the table of `onsite bench text`.
type TextBench struct {
	Signs         int        `json:"signs"`          // pictures with a name to find
	Found         int        `json:"found"`          // of these, read as the check reads
	WrongAccepted int        `json:"wrong_accepted"` // (picture, other sign's name) pairs that were accepted
	Pairs         int        `json:"pairs"`          // such pairs tried
	CER           float64    `json:"cer"`            // character error rate over the transcribed lines; a missed line counts in full
	MSPerImage    float64    `json:"ms_per_image"`   // wall time to find the name, decoding left out
	Images        int        `json:"images"`
	Items         []TextItem `json:"items"`
}

// TextItem is one picture of the table.
type TextItem struct {
	File       string   `json:"file"`
	Lang       string   `json:"lang"`
	Wanted     string   `json:"wanted"`
	Found      bool     `json:"found"`
	Read       []string `json:"read"`
	Wrong      []string `json:"wrong"` // names of other signs that were accepted
	Edits      int      `json:"edits"`
	Characters int      `json:"characters"`
}

// BenchText reads every sign of DIR/text.csv (columns file,lang,wanted,text,note; files relative to DIR's parent) as the check does, and
// looks for every other sign's name in everything that can be read there.
//
// The character error rate compares each transcribed line, without spaces and punctuation, with the part of the readings that is nearest to
// it: what is read but not transcribed is not counted.
func BenchText(ctx context.Context, dir string, decode func(context.Context, pipeline.Media) (*media.Clip, error), m Models) (TextBench, error) {
	rows, err := signRows(filepath.Join(dir, "text.csv"))
	if err != nil {
		return TextBench{}, err
	}
	var out TextBench
	var spent time.Duration
	edits, characters := 0, 0
	for _, r := range rows {
		item, took, err := benchSign(ctx, pipeline.Named(filepath.Dir(filepath.Clean(dir)), r.file), r, rows, decode, m)
		if err != nil {
			return TextBench{}, fmt.Errorf("read the sign %s: %w", r.file, err)
		}
		out.Items = append(out.Items, item)
		out.Images++
		spent += took
		if r.wanted != "" {
			out.Signs++
		}
		if item.Found {
			out.Found++
		}
		out.WrongAccepted += len(item.Wrong)
		for _, o := range rows {
			if otherName(r, o) {
				out.Pairs++
			}
		}
		edits, characters = edits+item.Edits, characters+item.Characters
	}
	if characters > 0 {
		out.CER = float64(edits) / float64(characters)
	}
	if out.Images > 0 {
		out.MSPerImage = float64(spent.Microseconds()) / 1000 / float64(out.Images)
	}
	return out, nil
}

// signRow is one line of text.csv.
type signRow struct {
	file, lang, wanted string
	lines              []string
}

// otherName tells whether o's name must not be accepted on r's picture: not the same name, nor one that stands in r's transcription.
func otherName(r, o signRow) bool {
	k := string(key(o.wanted))
	if k == "" || k == string(key(r.wanted)) {
		return false
	}
	return !slices.ContainsFunc(r.lines, func(l string) bool { return strings.Contains(string(key(l)), k) })
}

// signRows reads text.csv.
func signRows(path string) ([]signRow, error) {
	rows, err := pipeline.ReadTable(path, "file", "lang", "wanted", "text")
	if err != nil {
		return nil, fmt.Errorf("read the table of signs: %w", err)
	}
	out := make([]signRow, 0, len(rows))
	for _, r := range rows {
		row := signRow{file: r.Get("file"), lang: r.Get("lang"), wanted: r.Get("wanted")}
		for _, l := range strings.Split(r.Get("text"), "|") {
			if len(key(l)) > 0 {
				row.lines = append(row.lines, l)
			}
		}
		if row.file != "" {
			out = append(out, row)
		}
	}
	return out, nil
}

// benchSign reads one picture twice: as a check that wants its name, timed; and as fully as possible, for the error rate and wrong names.
func benchSign(ctx context.Context, path string, r signRow, rows []signRow, decode Decode, m Models) (TextItem, time.Duration, error) {
	item := TextItem{File: r.file, Lang: r.lang, Wanted: r.wanted, Read: []string{}, Wrong: []string{}}
	photo, err := decode(ctx, pipeline.File(path))
	if err != nil {
		return item, 0, err
	}
	defer photo.Close()
	if len(photo.Frames) == 0 {
		return item, 0, errors.New("it holds no picture")
	}
	start := time.Now()
	if r.wanted != "" {
		s := newSearch(m, &Site{names: namesOf([]string{r.wanted})}, time.Time{}, DefaultConfig(), true)
		if err := s.read(ctx, photo.Frames[:1]); err != nil {
			return item, 0, err
		}
		item.Found = s.sign.found
	}
	took := time.Since(start)
	full := &reader{models: m, limit: benchLines}
	words, err := full.read(ctx, photo.Frames[0], DefaultConfig().TextSide)
	if err != nil {
		return item, 0, err
	}
	for _, w := range words {
		item.Read = append(item.Read, w.Text)
	}
	far, err := full.read(ctx, photo.Frames[0], DefaultConfig().TextSideFar)
	if err != nil {
		return item, 0, err
	}
	for _, o := range rows {
		if otherName(r, o) && slices.ContainsFunc(namesOf([]string{o.wanted}), func(n signName) bool { return bestOf(n, words).found || bestOf(n, far).found }) {
			item.Wrong = append(item.Wrong, o.wanted)
		}
	}
	item.Edits, item.Characters = lineErrors(r.lines, words)
	return item, took, nil
}

// lineErrors counts, over the transcribed lines, the edits to the nearest part of any reading, and the characters.
func lineErrors(lines []string, words []Word) (edits, characters int) {
	groups := neighbours(words)
	for _, w := range words {
		groups = append(groups, []Word{w})
	}
	for _, l := range lines {
		k := key(l)
		least := len(k)
		for _, g := range groups {
			text := ""
			for _, w := range g {
				text += w.Text
			}
			d, _, _ := nearest(k, key(text))
			least = min(least, (d+edit-1)/edit)
		}
		edits, characters = edits+least, characters+len(k)
	}
	return edits, characters
}
