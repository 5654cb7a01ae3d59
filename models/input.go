package models

import (
	"context"
	"fmt"

	"onsite/models/manifest"
)

// tables gives, for each channel of the input tensor, the value of every byte. A table of 256 makes the normalisation exact (computed
// in float64, rounded once) and as fast as a copy.
func tables(in manifest.Input) [][256]float32 {
	out := make([][256]float32, len(in.Mean))
	for c := range out {
		for v := range 256 {
			out[c][v] = float32((float64(v)*in.Scale - in.Mean[c]) / in.Std[c])
		}
	}
	return out
}

// checkImage says what is wrong with a picture, if anything.
func (m *model) checkImage(img Image) error {
	in := m.man.Input
	fail := func(format string, args ...any) error {
		return &InputError{Task: m.task, Why: fmt.Sprintf(format, args...)}
	}
	if !in.Picture() {
		return fail("it takes sound, not pictures")
	}
	if img.C != 3 && (img.C != 1 || m.man.Channels() != 1) {
		if m.man.Channels() == 1 {
			return fail("the picture has %d channels, want 1 (grey) or 3 (BGR)", img.C)
		}
		return fail("the picture has %d channels, want 3 (BGR)", img.C)
	}
	if img.W < 1 || img.H < 1 || img.W > 1<<15 || img.H > 1<<15 {
		return fail("the picture is %d x %d pixels", img.W, img.H)
	}
	if len(img.Pix) != img.W*img.H*img.C {
		return fail("the picture has %d bytes, want %d for %d x %d x %d without padding", len(img.Pix), img.W*img.H*img.C, img.W, img.H, img.C)
	}
	if err := side(in, "wide", img.W, in.Width, m.man.Decoder.Name == "ctc"); err != "" {
		return fail("%s", err)
	}
	if err := side(in, "high", img.H, in.Height, false); err != "" {
		return fail("%s", err)
	}
	return nil
}

// side compares one side of a picture with a fixed (want > 0) or dynamic size.
func side(in manifest.Input, word string, got, want int, padded bool) string {
	switch {
	case want > 0 && got != want:
		return fmt.Sprintf("the picture is %d pixels %s, want %d", got, word, want)
	case want > 0:
		return ""
	case got > in.Max:
		return fmt.Sprintf("the picture is %d pixels %s, the limit is %d", got, word, in.Max)
	case !padded && got%in.Multiple != 0:
		return fmt.Sprintf("the picture is %d pixels %s, want a multiple of %d", got, word, in.Multiple)
	}
	return ""
}

// tensorSize is the size of the input tensor for a picture: its own, with the width of a text line padded up.
func (m *model) tensorSize(img Image) (w, h int) {
	w, h = img.W, img.H
	if m.man.Input.Width == 0 {
		w = (w + m.man.Input.Multiple - 1) / m.man.Input.Multiple * m.man.Input.Multiple
	}
	return w, h
}

// inputShape is the shape of the input tensor for a picture of w x h pixels.
func (m *model) inputShape(w, h int) []int64 {
	c := int64(m.man.Channels())
	if m.man.Input.Layout == manifest.NHWC {
		return []int64{1, int64(h), int64(w), c}
	}
	return []int64{1, c, int64(h), int64(w)}
}

// outputShapes resolves the dynamic axes of the outputs for an input tensor of w x h pixels.
func (m *model) outputShapes(w, h int) [][]int64 {
	out := make([][]int64, len(m.man.Outputs))
	for i, o := range m.man.Outputs {
		out[i] = make([]int64, len(o.Shape))
		for j, v := range o.Shape {
			out[i][j] = int64(v)
		}
	}
	switch m.man.Decoder.Name {
	case "dbmap":
		out[0] = []int64{1, 1, int64(h), int64(w)}
	case "ctc":
		out[0][1] = int64(w / int(m.man.Decoder.Params["pixels_per_step"]))
	}
	return out
}

// picture runs the model on one picture and hands the raw outputs, each row-major, to decode before the slot goes back.
func (m *model) picture(ctx context.Context, img Image, decode func(out [][]float32, w, h int) error) error {
	if err := m.checkImage(img); err != nil {
		return err
	}
	if m.how.batched() {
		return m.together(ctx, img, decode)
	}
	s, err := m.acquire(ctx)
	if err != nil {
		return err
	}
	defer m.release(s)
	watch := start()
	w, h := m.tensorSize(img)
	if err := s.shape(m.man, m.inputShape(w, h), m.outputShapes(w, h)); err != nil {
		return fmt.Errorf("run model %s: make tensors for %d x %d pixels: %w", m.task, w, h, err)
	}
	m.fill(s.in, img, w)
	watch.lap(&m.count.pre)
	if err := m.run(s); err != nil {
		return err
	}
	watch.lap(&m.count.run)
	err = decode(s.out, w, h)
	watch.lap(&m.count.decode)
	m.count.calls.Add(1)
	m.used.Store(true)
	return err
}

// fill writes a picture into an input tensor whose rows are w values long; what lies right of the picture is zero.
func (m *model) fill(dst []float32, img Image, w int) {
	plane := w * img.H
	if w != img.W {
		clear(dst)
	}
	switch {
	case m.man.Channels() == 1 && img.C == 1:
		fillGrey(dst, img, w, &m.lut[0])
	case m.man.Channels() == 1:
		fillGreyFromBGR(dst, img, w, m.man.Input)
	case m.man.Input.Layout == manifest.NHWC && m.man.Input.Colour == manifest.BGR:
		fillPixels(dst, img, w, 0, 2, &m.lut[0], &m.lut[1], &m.lut[2])
	case m.man.Input.Layout == manifest.NHWC: // RGB: red first
		fillPixels(dst, img, w, 2, 0, &m.lut[2], &m.lut[1], &m.lut[0])
	case m.man.Input.Colour == manifest.BGR:
		fillBGR(dst[:plane], dst[plane:2*plane], dst[2*plane:], img, w, &m.lut[0], &m.lut[1], &m.lut[2])
	default: // RGB: the tensor's first plane is red, the picture's third byte
		fillBGR(dst[2*plane:], dst[plane:2*plane], dst[:plane], img, w, &m.lut[2], &m.lut[1], &m.lut[0])
	}
}

// fillBGR spreads interleaved BGR bytes over three planes.
func fillBGR(blue, green, red []float32, img Image, w int, lutB, lutG, lutR *[256]float32) {
	for y := range img.H {
		row := img.Pix[y*img.W*3 : (y+1)*img.W*3]
		b, g, r := blue[y*w:y*w+img.W], green[y*w:y*w+img.W], red[y*w:y*w+img.W]
		for x := range b {
			p := row[3*x : 3*x+3 : 3*x+3]
			b[x], g[x], r[x] = lutB[p[0]], lutG[p[1]], lutR[p[2]]
		}
	}
}

// fillPixels copies interleaved BGR bytes as interleaved values; blue and red say which value of three is theirs.
func fillPixels(dst []float32, img Image, w, blue, red int, lutB, lutG, lutR *[256]float32) {
	for y := range img.H {
		row := img.Pix[y*img.W*3 : (y+1)*img.W*3]
		out := dst[y*w*3 : (y*w+img.W)*3]
		for i := 0; i+2 < len(row); i += 3 {
			out[i+blue], out[i+1], out[i+red] = lutB[row[i]], lutG[row[i+1]], lutR[row[i+2]]
		}
	}
}

func fillGrey(dst []float32, img Image, w int, lut *[256]float32) {
	for y := range img.H {
		row := img.Pix[y*img.W : (y+1)*img.W]
		out := dst[y*w : y*w+img.W]
		for x := range out {
			out[x] = lut[row[x]]
		}
	}
}

// fillGreyFromBGR uses the luma weights of ITU-R BT.601, as the models' own demo code does, without rounding to bytes in between.
func fillGreyFromBGR(dst []float32, img Image, w int, in manifest.Input) {
	for y := range img.H {
		row := img.Pix[y*img.W*3 : (y+1)*img.W*3]
		out := dst[y*w : y*w+img.W]
		for x := range out {
			grey := 0.114*float64(row[3*x]) + 0.587*float64(row[3*x+1]) + 0.299*float64(row[3*x+2])
			out[x] = float32((grey*in.Scale - in.Mean[0]) / in.Std[0])
		}
	}
}

// warm loads the model and runs it once on a black picture or on silence.
func (m *model) warm(ctx context.Context) error {
	s, err := m.acquire(ctx)
	if err != nil {
		return err
	}
	defer m.release(s)
	return m.once(s)
}

// once runs the model on a black picture or on silence.
func (m *model) once(s *slot) error {
	switch m.man.Input.Layout {
	case manifest.PCM:
		if err := s.voice(m); err != nil {
			return err
		}
		return m.run(s)
	case manifest.Vec:
		if err := s.vector(m); err != nil {
			return err
		}
		clear(s.in)
		return m.run(s)
	}
	if m.task == Transcribe {
		in, shape := m.hear(make([]float32, manifest.SpeechRate))
		_, _, err := m.say(in, shape)
		return err
	}
	w, h := m.goldenSize(manifest.Golden{})
	if err := s.shape(m.man, m.inputShape(w, h), m.outputShapes(w, h)); err != nil {
		return fmt.Errorf("warm up model %s: %w", m.task, err)
	}
	clear(s.in)
	return m.run(s)
}
