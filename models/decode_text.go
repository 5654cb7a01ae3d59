package models

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"onsite/models/manifest"
)

// TextMap gives, for each pixel of a picture whose sides are multiples of 32, the probability that it belongs to the core of a line of
// text.
func (s *Set) TextMap(ctx context.Context, img Image) (ProbMap, error) {
	m, err := s.model(TextDetect)
	if err != nil {
		return ProbMap{}, err
	}
	var p ProbMap
	err = m.picture(ctx, img, func(out [][]float32, w, h int) error {
		p = ProbMap{P: append([]float32(nil), out[0]...), W: w, H: h}
		if len(out) > 1 {
			p.Pool = append([]float32(nil), out[1]...)
		}
		return finite(TextDetect, p.Pool...)
	})
	if err != nil {
		return ProbMap{}, err
	}
	return p, nil
}

// ReadText reads one line of text, upright, cropped and scaled to a height of 48 pixels with its proportions kept; any width up to the
// manifest's limit. Spaces between words get lost: compare without them. No text gives an empty Reading.
func (s *Set) ReadText(ctx context.Context, img Image) (Reading, error) {
	m, err := s.model(TextRecognize)
	if err != nil {
		return Reading{}, err
	}
	var r Reading
	err = m.picture(ctx, img, func(out [][]float32, _, _ int) error {
		r = ctc(out[0], m.keys, int(m.man.Decoder.Params["blank"]))
		return nil
	})
	return r, err
}

// ctc reads probabilities [steps, classes] by the best class of each step: repeats and blanks fall away (greedy connectionist temporal
// classification, Graves et al. 2006).
func ctc(p []float32, keys []string, blank int) Reading {
	var text strings.Builder
	last, n, sum := -1, 0, float32(0)
	for step := range len(p) / len(keys) {
		row := p[step*len(keys) : (step+1)*len(keys)]
		best, top := 0, row[0]
		for i, v := range row {
			if v > top {
				best, top = i, v
			}
		}
		if best != blank && best != last {
			text.WriteString(keys[best])
			n++
			sum += top
		}
		last = best
	}
	if n == 0 {
		return Reading{}
	}
	return Reading{Text: text.String(), Confidence: sum / float32(n)}
}

// classes reads the key file: one character per line; the blank comes before the first line, the space after the last.
func classes(data []byte, man manifest.Manifest) ([]string, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the key file is not UTF-8")
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	out := make([]string, 0, len(lines)+2)
	out = append(out, "")
	for _, l := range lines {
		out = append(out, strings.TrimSuffix(l, "\r"))
	}
	out = append(out, " ")
	if len(out) != man.Dimension() {
		return nil, fmt.Errorf("the key file gives %d classes, the model has %d", len(out), man.Dimension())
	}
	return out, nil
}
