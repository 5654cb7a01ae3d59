package attack

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"image"
	"math/rand/v2"
	"strings"
)

// rng is the random source of one transform of one clip.
func rng(seed uint64, keys ...string) *rand.Rand {
	h := sha256.Sum256(fmt.Appendf(nil, "%d|%s", seed, strings.Join(keys, "|")))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16]))) //nolint:gosec // G404: reproducible choices, no secret
}

// graph is an ffmpeg filter graph that is being written: one picture stream, and pictures and clips laid over it.
type graph struct {
	r       *rand.Rand
	w, h    int // pixels of the picture as it is now, even numbers
	fps     float64
	seconds float64 // 0: a photo
	sound   bool    // whether there is any
	audio   []string
	host    string // path of another clip, for what mixes two; empty if there is none
	crf     int
	quality int // of JPEG, photos only
	inputs  [][]string
	paint   []image.Image // written as files before ffmpeg runs; input "PAINT n"
	chains  []string
	at      string // label of the picture
	n       int
}

// newGraph begins with input 0.
func newGraph(r *rand.Rand, f footage) *graph {
	return &graph{r: r, w: f.w, h: f.h, fps: f.fps, seconds: f.seconds, sound: f.sound, crf: 26, quality: 80, at: "0:v"}
}

// do appends filters to the picture.
func (g *graph) do(format string, args ...any) {
	g.n++
	next := fmt.Sprintf("v%d", g.n)
	g.chains = append(g.chains, fmt.Sprintf("[%s]%s[%s]", g.at, fmt.Sprintf(format, args...), next))
	g.at = next
}

// fork gives the picture twice.
func (g *graph) fork() (a, b string) {
	g.n++
	a, b = fmt.Sprintf("a%d", g.n), fmt.Sprintf("b%d", g.n)
	g.chains = append(g.chains, fmt.Sprintf("[%s]split[%s][%s]", g.at, a, b))
	return a, b
}

// join makes the picture from two streams: "[first][second]filter".
func (g *graph) join(first, second, format string, args ...any) {
	g.n++
	next := fmt.Sprintf("v%d", g.n)
	g.chains = append(g.chains, fmt.Sprintf("[%s][%s]%s[%s]", first, second, fmt.Sprintf(format, args...), next))
	g.at = next
}

// side works on a stream that is not the picture and gives its label.
func (g *graph) side(from, format string, args ...any) string {
	g.n++
	next := fmt.Sprintf("s%d", g.n)
	g.chains = append(g.chains, fmt.Sprintf("[%s]%s[%s]", from, fmt.Sprintf(format, args...), next))
	return next
}

// picture adds a painted picture as an input that lasts as long as it is needed, and gives its label.
func (g *graph) picture(m image.Image) string {
	g.paint = append(g.paint, m)
	g.inputs = append(g.inputs, []string{"-loop", "1", "-framerate", fmt.Sprintf("%g", max(1, g.fps)), "-i", fmt.Sprintf("PAINT %d", len(g.paint)-1)})
	return fmt.Sprintf("%d:v", len(g.inputs))
}

// other adds the host clip, repeated without end, at the picture's size and rate, and gives its label.
func (g *graph) other() string {
	g.inputs = append(g.inputs, []string{"-stream_loop", "-1", "-i", g.host})
	return g.side(fmt.Sprintf("%d:v", len(g.inputs)), "scale=%d:%d:flags=area,setsar=1,fps=%g,format=yuv420p", g.w, g.h, g.fps)
}

// hear appends a filter to the sound.
func (g *graph) hear(format string, args ...any) {
	g.audio = append(g.audio, fmt.Sprintf(format, args...))
}

// even rounds to the nearest even number of pixels, at least 2: 4:2:0 video has no odd sides.
func even(x float64) int { return max(2, int(x/2+0.5)*2) }

// sign is +1 or -1.
func (g *graph) sign() float64 { return float64(2*g.r.IntN(2) - 1) }
