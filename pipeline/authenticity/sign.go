package authenticity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// sign is one trace in the container, the packets or the pictures, with how much it adds and its proof.
type sign struct {
	code   string
	weight float64
	proof  pipeline.Text
	text   pipeline.Text
	at     float64 // seconds, for a sign of one moment; negative: of the whole clip
}

// weights say how much each sign adds to the suspicion that a recording was altered; at signLimit a person looks. A sign that messengers or
// a server's re-encoding leave in honest clips is far below it, and so are all of those together. docs/authenticity.md has the reasons.
var weights = map[string]float64{
	"library":       0.20, // FFmpeg, x264: messengers and servers leave it
	"messenger":     0,    // noted
	"beauty":        0.05,
	"uniform_times": 0.10, // editors, virtual cameras, and every re-encoding to a constant rate
	"times_missing": 0.10,
	"second_coding": 0.20, // messengers encode again
	"repeats":       0.45, // pictures repeated in a fixed pattern: a slower source fed into a faster stream
	"cut":           0.75, // the picture jumps within one moment
	"cut_coded":     0.25, // and the encoder began anew just there
	"cut_timed":     0.30, // and time jumps there
	"cut_list":      0.70, // several parts joined by an edit list
	"trimmed":       0.30, // the beginning is cut off by an edit list
	"speed":         0.70, // an edit list plays it faster or slower
	"rewritten":     0.15, // the file was changed long after it was made
	"screen_size":   0.45, // the size of a screen, not of a camera
	"odd_size":      0.10, // a shape that no phone's camera gives
	"mirrored":      0.05, // an orientation that no phone's camera writes: phones turn by quarters, and mirror the picture itself
}

// signLimit is the sum of weights from which a person looks.
const signLimit = 1.0

// origin judges how the file was made: programs that it names, and the sum of smaller signs.
func (c *checker) origin() {
	i := &c.clip.Info
	names := namesOf(i)
	var signs []sign
	for _, n := range names {
		if n.sure == weak {
			signs = append(signs, sign{code: n.kind, proof: pipeline.Text{EN: n.field + ": " + n.value, ZH: n.field + ": " + n.value}, text: programText(n), at: -1})
		}
	}
	if i.Kind == media.Video {
		signs = append(signs, c.streamSigns()...)
	}
	sum, listed := 0.0, []map[string]any{}
	for k := range signs {
		s := &signs[k]
		switch {
		case slices.ContainsFunc(signs[:k], func(o sign) bool { return o.code == s.code }): // a second cut makes it no surer
			s.weight = 0
		case s.weight == 0: // it was not weighed where it was found
			s.weight = weights[s.code]
		}
		sum += s.weight
		listed = append(listed, map[string]any{"sign": s.code, "weight": s.weight, "proof": s.proof.EN})
	}
	detail := map[string]any{"signs": listed, "sum": round(sum), "limit": signLimit}
	if i.Origin.C2PA {
		detail["c2pa"] = "present, not validated"
	}
	if len(names) > 0 && names[0].sure > weak {
		n := names[0]
		detail["program"] = map[string]any{"name": n.name, "kind": n.kind, "field": n.field, "value": n.value}
		c.program(n)
	}
	c.out.Detail["origin"] = detail
	c.suspect(0.5 * math.Min(sum/signLimit, 1))                                      // signs alone never reach what pictures prove
	shows := func(f pipeline.Finding) bool { return f.Code == pipeline.StaticImage } // stills one after another are cuts, too
	if sum >= signLimit && !slices.ContainsFunc(c.out.Findings, shows) {
		c.altered(signs, sum)
	}
}

// program reports that the file names a program.
func (c *checker) program(n named) {
	outcome := pipeline.Uncertain
	if n.sure == certain {
		outcome = pipeline.Fail
		c.suspect(2)
	} else {
		c.suspect(0.9)
	}
	c.add(pipeline.Finding{
		Code: pipeline.InjectedStream, Outcome: outcome, Certain: n.sure == certain, Args: map[string]string{"program": n.name},
		Evidence: []pipeline.Evidence{{Kind: "fact", Label: n.field, Read: n.value}},
	})
}

// altered reports the sum of the signs.
func (c *checker) altered(signs []sign, sum float64) {
	limit := signLimit
	var en, zh []string
	var evidence []pipeline.Evidence
	seen := false // the first place is shown
	for _, s := range signs {
		if weights[s.code] == 0 {
			continue
		}
		en, zh = append(en, s.text.EN), append(zh, s.text.ZH)
		weight := s.weight
		e := pipeline.Evidence{Kind: "fact", Label: s.code, Read: s.proof.EN, Score: &weight, Threshold: &limit}
		if s.proof.ZH != s.proof.EN {
			e.Text = &s.proof
		}
		if s.at >= 0 {
			from, to := ms(math.Max(0, s.at-0.5)), ms(s.at+0.5)
			e.FromMS, e.ToMS = &from, &to
		}
		evidence = append(evidence, e)
		if s.at >= 0 && !seen {
			seen = true
			evidence = append(evidence, c.beside(s.at, s.at)...)
		}
	}
	c.suspect(0.95)
	total := round(sum)
	all := said("%.2f together, and a person looks from %.2f on", "合计 %.2f，达到 %.2f 即由人工查看", sum, limit)
	evidence = append([]pipeline.Evidence{{Kind: "fact", Label: "sum", Read: fmt.Sprintf("%.2f", sum), Text: &all, Score: &total, Threshold: &limit}}, evidence...)
	c.add(pipeline.Finding{
		Code: pipeline.StreamAltered, Outcome: pipeline.Uncertain,
		Args:     map[string]string{"signs_en": strings.Join(en, "; "), "signs_zh": strings.Join(zh, "；")},
		Evidence: evidence,
	})
}

// said makes a text of the same arguments in both languages.
func said(en, zh string, args ...any) pipeline.Text {
	return pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

func programText(n named) pipeline.Text {
	return pipeline.Text{EN: "the file names " + n.name, ZH: "文件中出现 " + n.name}
}

// TablesDigest is the sha256 (hex) of the weights of the signs and the table of programs, for whoever writes down what decided.
func TablesDigest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %v %v", signLimit, weights, programs)) // fmt sorts the keys of maps
	return hex.EncodeToString(sum[:])
}
