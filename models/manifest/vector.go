package manifest

import (
	"fmt"
	"path/filepath"
	"slices"
)

// maxVector bounds the values of a vector input.
const maxVector = 1 << 16

// Size is the number of values of a vector input.
func (in Input) Size() int {
	n := 0
	for _, p := range in.Parts {
		n += p.Size
	}
	return n
}

func (in Input) validateVector(p *problems) {
	p.want(len(in.Parts) > 0, "input.parts", "is missing: which values come one after the other")
	seen := map[string]bool{}
	for i, part := range in.Parts {
		field := fmt.Sprintf("input.parts[%d]", i)
		p.want(part.Name != "" && !seen[part.Name], field+".name", "%q is missing or used twice", part.Name)
		seen[part.Name] = true
		p.want(part.Size > 0 && part.Size <= maxVector, field+".size", "%d is not in 1..%d", part.Size, maxVector)
		p.want(hex64.MatchString(part.Model), field+".model", "%q is not 64 lower-case hex digits: the sha256 of the model that makes the values", part.Model)
	}
	p.want(in.Size() <= maxVector, "input.parts", "have %d values together, the limit is %d", in.Size(), maxVector)
	p.want(in.Colour == "" && in.Width == 0 && in.Height == 0 && in.Mean == nil && in.Std == nil && in.Scale == 0 && in.Rate == 0 && in.Window == 0 && in.Context == 0, "input", "layout vector takes no fields of pictures or sound")
}

// validateHeads checks the outputs of decoder logistic: one per question, each with the parts that it depends on.
func (m Manifest) validateHeads(p *problems) {
	p.want(m.Input.Layout == Vec, "input.layout", "%q does not fit decoder logistic", m.Input.Layout)
	p.want(len(m.Outputs) > 0, "outputs", "is missing: one per question")
	seen := map[string]bool{}
	for i, o := range m.Outputs {
		field := fmt.Sprintf("outputs[%d]", i)
		p.want(o.Name != "" && !seen[o.Name], field+".name", "%q is missing or used twice", o.Name)
		seen[o.Name] = true
		p.want(slices.Equal(o.Shape, []int{1, 1}), field+".shape", "%v does not fit decoder logistic, which reads [1 1]", o.Shape)
		p.want(len(o.Uses) > 0, field+".uses", "is missing: the parts of the input that the output depends on")
		for _, u := range o.Uses {
			p.want(slices.ContainsFunc(m.Input.Parts, func(part Part) bool { return part.Name == u }), field+".uses", "%q is not a part of the input", u)
		}
	}
}

func (m Manifest) validateEmbedded(p *problems) {
	own := m.path == filepath.Join("builtin", filepath.Base(m.path))
	p.want(!m.Source.Embedded || (m.Source.NPM == "" && own), "source.embedded", "is only for files that are part of the program")
}
