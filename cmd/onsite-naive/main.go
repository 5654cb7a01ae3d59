//go:build gocv_videoio

// Command onsite-naive is the obvious pipeline, which `onsite bench --baseline naive` measures Onsite against: OpenCV's VideoCapture over
// every frame of the clip, then every model that a check of video15 runs on one frame per second at its full size, one picture at a time: faces,
// their landmarks and vectors, liveness, the eyes of each face, office objects, the scene's vector, text found at the frame's own size and every line
// of it read; a PDQ hash of each frame against 200 earlier clips. What a model takes by its nature (a face detector's 320 x 240) is made of the full
// frame. Left out is what only Onsite does: motion, bursts, key points, where text is likely, small faces in tiles. It decodes outside of any wall,
// so it is for measuring only: it is not installed, and OpenCV's videoio is linked into this program alone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"os"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/bench"
	"onsite/pipeline/face"
	"onsite/pipeline/liveness"
	"onsite/pipeline/media"
	"onsite/pipeline/reuse"
	"onsite/pipeline/scene"
)

func main() {
	gocv.SetNumThreads(1) // as Onsite; libav behind VideoCapture takes as many threads as it likes, and all of their time counts
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "onsite-naive:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("want two arguments: a clip and a photo of the person")
	}
	set, err := models.Open(models.DefaultOptions())
	if err != nil {
		return err
	}
	plain := face.DefaultConfig()
	plain.Tiles = nil
	n := naive{models: set, matcher: face.New(set, plain), places: scene.NewExtractor(set), out: bench.NaiveVerdict{Stages: map[string]float64{}}}
	err = n.verify(ctx, args[0], args[1])
	if err := errors.Join(err, set.Close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(n.out)
}

type naive struct {
	models  *models.Set
	matcher *face.Matcher
	places  *scene.Extractor
	out     bench.NaiveVerdict
}

// verify measures everything but loading the models and enrolling the person, which a service does once. A first picture warms the models.
func (n *naive) verify(ctx context.Context, path, person string) error {
	photo := gocv.IMRead(person, gocv.IMReadColor) //nolint:forbidigo // the obvious way; a measurement's own picture
	if photo.Empty() {
		return fmt.Errorf("read %s: no picture", person)
	}
	still := picture(photo)
	defer still.Close()
	template, err := n.matcher.Enroll(ctx, still, "person")
	if err != nil {
		return fmt.Errorf("enroll %s: %w", person, err)
	}
	if err := n.warm(ctx, still); err != nil {
		return err
	}
	began := cpu()
	earlier := history()
	frames, err := n.read(path)
	if err != nil {
		return err
	}
	whole := &media.Clip{Info: media.Info{Kind: media.Video}, Frames: frames}
	defer whole.Close()
	faces, lives := map[pipeline.Outcome]int{}, map[pipeline.Outcome]int{}
	for _, f := range frames {
		one := &media.Clip{Info: media.Info{Kind: media.Photo}, Frames: []media.Frame{f}}
		var found face.Found
		if err := n.stage("face", func() error {
			var check pipeline.Check
			if found, err = n.matcher.Find(ctx, one); err != nil {
				return err
			}
			check, _, err = n.matcher.Match(ctx, one, found, []face.Template{template})
			faces[check.Outcome]++
			return err
		}); err != nil {
			return err
		}
		if err := n.stage("liveness", func() error {
			if err := n.eyes(ctx, f, &found.Frames[0]); err != nil {
				return err
			}
			check, err := liveness.Check(ctx, n.models, one, found, &liveness.Track{}, liveness.DefaultConfig())
			lives[check.Outcome]++
			return err
		}); err != nil {
			return err
		}
		if err := n.stage("scene", func() error {
			if _, err := n.places.Features(ctx, f.Image, scene.Want{Office: true, Scene: true}); err != nil {
				return err
			}
			words, err := scene.ReadLines(ctx, n.models, f, "", everything(f))
			n.out.Words += len(words)
			return err
		}); err != nil {
			return err
		}
		if err := n.stage("reuse", func() error { return n.known(f, earlier) }); err != nil {
			return err
		}
	}
	n.out.Looked, n.out.CPUMS = len(frames), cpu()-began
	n.out.Face, n.out.Live = most(faces), most(lives)
	return nil
}

// eyes runs the model of open eyes on every face that has landmarks. Where a head looks follows from them, here as in Onsite, without a model.
func (n *naive) eyes(ctx context.Context, f media.Frame, found *face.FrameFaces) error {
	grey, err := media.Gray(f.Image)
	if err != nil {
		return err
	}
	defer grey.Close()
	for i := range found.Faces {
		seen := &found.Faces[i]
		if !seen.HasLandmarks() {
			continue
		}
		for _, corner := range []int{36, 42} { // of the six points of an eye, the first and the fourth are its corners
			a, b := seen.Landmarks[corner], seen.Landmarks[corner+3]
			half := max(2, int(math.Hypot(float64(a.X-b.X), float64(a.Y-b.Y))*0.8))
			middle := image.Pt(int(a.X+b.X)/2, int(a.Y+b.Y)/2)
			around := image.Rectangle{Min: middle, Max: middle}.Inset(-half)
			if !around.Overlaps(image.Rect(0, 0, grey.Cols(), grey.Rows())) {
				continue
			}
			w, h := n.models.InputSize(models.EyeState)
			eye, err := media.Crop(grey, around, w, h)
			if err != nil {
				return err
			}
			if _, err := n.models.EyeOpen(ctx, eye); err != nil {
				return err
			}
		}
	}
	return nil
}

// everything reads all text of a frame, looked for at the frame's own size.
func everything(f media.Frame) scene.Config {
	c := scene.DefaultConfig()
	c.TextSide, c.TextLines = max(f.Image.Cols(), f.Image.Rows()), 200
	return c
}

// What an earlier clip left: a hash a second.
const (
	earlierClips  = 200
	earlierHashes = 15
)

// history makes hashes of earlier clips, all of them unlike anything: what is measured is the comparison.
func history() []reuse.Bits256 {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: made-up data
	out := make([]reuse.Bits256, earlierClips*earlierHashes)
	for i := range out {
		out[i] = reuse.Bits256{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
	}
	return out
}

// sameHash is the limit of PDQ's authors: 31 of 256 bits.
const sameHash = 31

// known hashes a frame and compares it with every earlier one.
func (n *naive) known(f media.Frame, earlier []reuse.Bits256) error {
	v, err := media.View(f.Image)
	if err != nil {
		return err
	}
	forms, _, err := reuse.PDQVariants(v)
	if err != nil {
		return err
	}
	for _, e := range earlier {
		if forms[0].Distance(e) <= sameHash {
			n.out.Known++
		}
	}
	return nil
}

// warm runs the models once, so that their first run's allocations are not the clip's.
func (n *naive) warm(ctx context.Context, still *media.Clip) error {
	found, err := n.matcher.Find(ctx, still)
	if err != nil {
		return err
	}
	if _, err := liveness.Check(ctx, n.models, still, found, &liveness.Track{}, liveness.DefaultConfig()); err != nil {
		return err
	}
	if err := n.eyes(ctx, still.Frames[0], &found.Frames[0]); err != nil {
		return err
	}
	if _, err := n.places.Features(ctx, still.Frames[0].Image, scene.Want{Office: true, Scene: true}); err != nil {
		return err
	}
	_, err = scene.ReadLines(ctx, n.models, still.Frames[0], "", everything(still.Frames[0]))
	return err
}

// read decodes every frame and keeps the first of each second.
func (n *naive) read(path string) (kept []media.Frame, err error) {
	err = n.stage("decode", func() error {
		capture, err := gocv.VideoCaptureFile(path) //nolint:forbidigo // what is measured
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		defer capture.Close()
		every := max(1, int(math.Round(capture.Get(gocv.VideoCaptureFPS))))
		m := gocv.NewMat()
		defer m.Close()
		for capture.Read(&m) && !m.Empty() {
			if n.out.Frames%every == 0 {
				kept = append(kept, media.Frame{Index: len(kept), Image: m.Clone()})
			}
			n.out.Frames++
		}
		if len(kept) == 0 {
			return fmt.Errorf("read %s: no frames", path)
		}
		return nil
	})
	return kept, err
}

func (n *naive) stage(name string, do func() error) error {
	began := cpu()
	err := do()
	n.out.Stages[name] += cpu() - began
	return err
}

// picture is a photo as the packages of the pipeline take it.
func picture(m gocv.Mat) *media.Clip {
	return &media.Clip{Info: media.Info{Kind: media.Photo, Width: m.Cols(), Height: m.Rows()}, Frames: []media.Frame{{Image: m}}}
}

// most is what most of the frames say, of those in which there was something to say; a pass wins a tie.
func most(votes map[pipeline.Outcome]int) string {
	best := pipeline.Uncertain
	for _, o := range []pipeline.Outcome{pipeline.Pass, pipeline.Fail, pipeline.Uncertain} {
		if votes[o] > votes[best] || o == pipeline.Pass && votes[o] > 0 && votes[o] >= votes[best] {
			best = o
		}
	}
	return string(best)
}

// cpu is what the process has cost until now, milliseconds.
func cpu() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}
