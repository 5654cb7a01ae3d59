//go:build gocv_videoio

// Command onsite-naive is the obvious pipeline, which `onsite bench --baseline naive` measures Onsite against: OpenCV's VideoCapture over
// every frame of the clip, then every model on one frame per second at its full size, one picture at a time. It decodes outside of any
// wall, so it is for measuring only: it is not installed, and OpenCV's videoio is linked into this program alone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	n := naive{models: set, matcher: face.New(set, face.DefaultConfig()), out: bench.NaiveVerdict{Stages: map[string]float64{}}}
	err = n.verify(ctx, args[0], args[1])
	if err := errors.Join(err, set.Close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(n.out)
}

type naive struct {
	models  *models.Set
	matcher *face.Matcher
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
			check, err := liveness.Check(ctx, n.models, one, found, &liveness.Track{}, liveness.DefaultConfig())
			lives[check.Outcome]++
			return err
		}); err != nil {
			return err
		}
		if err := n.stage("scene", func() error {
			words, err := scene.ReadLines(ctx, n.models, f, "", scene.DefaultConfig())
			n.out.Words += len(words)
			return err
		}); err != nil {
			return err
		}
	}
	if err := n.stage("fingerprint", func() error {
		_, err := reuse.Compute(whole)
		return err
	}); err != nil {
		return err
	}
	n.out.Looked, n.out.CPUMS = len(frames), cpu()-began
	n.out.Face, n.out.Live = most(faces), most(lives)
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
	_, err = scene.ReadLines(ctx, n.models, still.Frames[0], "", scene.DefaultConfig())
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
