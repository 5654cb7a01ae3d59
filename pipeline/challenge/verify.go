package challenge

import (
	"slices"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/speech"
)

// Pose is the subject's head at one time, degrees: yaw is positive when the nose points to the left side of the picture, pitch when it points up
// (the signs of liveness.Moment). Eyes is 0 closed to 1 open.
type Pose struct {
	At         time.Duration
	Yaw, Pitch float64
	Eyes       float64
}

// Reading is one line of text that was read in a frame.
type Reading struct {
	Keyframe int // index in the verdict's keyframes
	At       time.Duration
	Text     string
	Mirrored bool // the picture shows it mirrored
	Outline  []pipeline.Point
}

// Seen is what a recording holds, as the parts of the pipeline found it.
type Seen struct {
	Length time.Duration // of the clip
	Poses  []Pose        // by time
	NoFace string        // why nobody was followed; "": somebody was looked for

	Voice   []speech.Segment
	NoVoice string // why nobody listened: no_audio, no_sound_consent
	Heard   string // what a transcriber understood
	NoWords string // why none did: no_transcriber

	Texts  []Reading
	NoText string // why nothing was read
}

// Result is what became of a challenge.
type Result struct {
	Outcome pipeline.Outcome `json:"outcome"`
	State   State            `json:"state"`
	Camera  Camera           `json:"camera,omitempty"` // as said, or as it follows from what is seen
	Tasks   []TaskResult     `json:"tasks,omitempty"`
}

// TaskResult is what became of one task.
type TaskResult struct {
	Kind     pipeline.ChallengeKind `json:"kind"`
	Outcome  pipeline.Outcome       `json:"outcome"`
	Why      string                 `json:"why,omitempty"` // of fail and uncertain: a problem that package policy has words for; of not_checked: its why
	FromMS   *int64                 `json:"from_ms,omitempty"`
	ToMS     *int64                 `json:"to_ms,omitempty"`
	Degrees  *float64               `json:"degrees,omitempty"` // how far the head turned or nodded
	Wanted   string                 `json:"wanted,omitempty"`  // the digits or the code
	Read     string                 `json:"read,omitempty"`    // the line that shows a code
	Keyframe *int                   `json:"keyframe,omitempty"`

	outline []pipeline.Point
}

// Verify looks whether what was asked was done. A challenge that is not a fresh one of this person fails, whatever is seen.
// Otherwise every task is judged by itself; the movements must come in the order of the tasks. A task fails only where enough is seen to say
// that it was not done; not_checked is one that nothing here can look at.
func Verify(g Given, s Seen) Result {
	out := Result{Outcome: pipeline.Fail, State: g.State, Camera: g.Camera}
	if g.State != Fresh {
		return out
	}
	for _, t := range g.Tasks {
		r := TaskResult{Kind: t.Kind, Wanted: t.Text}
		switch t.Kind {
		case pipeline.ShowCode: // how a code is read shows whether the picture is a mirror's
			if by := shown(&r, s); r.Outcome == pipeline.Pass && out.Camera == Unsaid {
				out.Camera = by
			}
		case pipeline.SayDigits:
			said(&r, s)
		}
		out.Tasks = append(out.Tasks, r)
	}
	out.Camera = moved(out.Tasks, s, out.Camera)
	tooMuch(out.Tasks, s, out.Camera)
	out.Outcome = worst(out.Tasks)
	return out
}

// tooMuch leaves the last movement that was seen to a person where there are more of them than asked.
func tooMuch(tasks []TaskResult, s Seen, camera Camera) {
	for i := len(tasks) - 1; i >= 0; i-- {
		if t := &tasks[i]; t.Outcome == pipeline.Pass && !unforeseen(t.Kind) {
			if more(tasks, s, camera) {
				t.Outcome, t.Why = pipeline.Uncertain, "more_moves"
			}
			return
		}
	}
}

// worst is the outcome of all tasks together.
func worst(tasks []TaskResult) pipeline.Outcome {
	for _, o := range []pipeline.Outcome{pipeline.Fail, pipeline.Uncertain, pipeline.NotChecked} {
		if slices.ContainsFunc(tasks, func(t TaskResult) bool { return t.Outcome == o }) {
			return o
		}
	}
	return pipeline.Pass
}

// moved judges the tasks of head and eyes. Where nobody said whether the camera mirrors and nothing shows it, both are tried: the turns pass if all
// of them fit a plain picture, or if there are turns to both sides and all of them fit a mirrored one. A single turn to the other side is
// left to a person.
func moved(tasks []TaskResult, s Seen, camera Camera) Camera {
	if camera != Unsaid {
		inOrder(tasks, s, camera)
		return camera
	}
	inOrder(tasks, s, Plain)
	sides := map[pipeline.ChallengeKind]bool{}
	for _, t := range tasks {
		sides[t.Kind] = true
	}
	turns := func(tasks []TaskResult, o pipeline.Outcome) bool {
		return slices.ContainsFunc(tasks, func(t TaskResult) bool { return turning(t.Kind) && t.Outcome == o })
	}
	if !turns(tasks, pipeline.Fail) && !turns(tasks, pipeline.Uncertain) {
		return Unsaid
	}
	other := slices.Clone(tasks)
	inOrder(other, s, Mirrored)
	fits := !turns(other, pipeline.Fail) && !turns(other, pipeline.Uncertain) && turns(other, pipeline.Pass)
	switch {
	case fits && sides[pipeline.TurnLeft] && sides[pipeline.TurnRight]:
		copy(tasks, other)
		return Mirrored
	case fits:
		for i, t := range tasks {
			if turning(t.Kind) && t.Outcome == pipeline.Fail {
				tasks[i] = other[i]
				tasks[i].Outcome, tasks[i].Why = pipeline.Uncertain, "side_unknown"
			}
		}
	}
	return Unsaid
}

func turning(k pipeline.ChallengeKind) bool {
	return k == pipeline.TurnLeft || k == pipeline.TurnRight
}

// inOrder judges the movements one after the other: each is looked for after the end of the one before it.
func inOrder(tasks []TaskResult, s Seen, camera Camera) {
	after := time.Duration(0)
	for i, t := range tasks {
		var judge func(poses []Pose) (event, string)
		b := base(s.Poses)
		switch t.Kind {
		case pipeline.TurnLeft, pipeline.TurnRight:
			sign := 1.0 // to the left side of the picture
			if (t.Kind == pipeline.TurnLeft) == (camera == Plain) {
				sign = -1 // the person's left is on the right of a plain picture
			}
			judge = func(p []Pose) (event, string) { return turn(p, b, sign) }
		case pipeline.Nod:
			judge = func(p []Pose) (event, string) { return nod(p, b) }
		case pipeline.BlinkTwice:
			judge = blinks
		default:
			continue
		}
		if s.NoFace != "" {
			tasks[i].Outcome, tasks[i].Why = pipeline.NotChecked, s.NoFace
			continue
		}
		e, problem := judge(since(s.Poses, after))
		if problem != "" && after > 0 {
			if early, none := judge(s.Poses); none == "" {
				e, problem = early, "order"
			}
		}
		conclude(&tasks[i], e, problem, s)
		if tasks[i].Outcome == pipeline.Pass {
			after = e.to
		}
	}
}

// conclude turns an event, or what is the matter with it, into a task's outcome.
func conclude(t *TaskResult, e event, problem string, s Seen) {
	*t = TaskResult{Kind: t.Kind, Wanted: t.Wanted, Outcome: pipeline.Pass, Why: problem}
	if e.to > e.from {
		from, to := e.from.Milliseconds(), e.to.Milliseconds()
		t.FromMS, t.ToMS = &from, &to
	}
	if e.degrees != 0 {
		t.Degrees = &e.degrees
	}
	switch problem {
	case "":
	case "not_seen", "other_side":
		t.Outcome = pipeline.Fail
		if covered(s.Poses) < minCovered*float64(s.Length) {
			t.Outcome, t.Why = pipeline.Uncertain, "little_seen"
		}
	default:
		t.Outcome = pipeline.Uncertain
	}
}

// minSpoken is how long four digits take at least: people say four to six syllables a second.
const minSpoken = 600 * time.Millisecond

// said judges digits that were to be said.
func said(t *TaskResult, s Seen) {
	spoken := speech.Total(s.Voice)
	switch {
	case s.NoVoice != "":
		t.Outcome, t.Why = pipeline.NotChecked, s.NoVoice
		return
	case spoken == 0:
		t.Outcome, t.Why = pipeline.Fail, "no_voice"
		return
	}
	from, to := s.Voice[0].From.Milliseconds(), s.Voice[len(s.Voice)-1].To.Milliseconds()
	t.FromMS, t.ToMS = &from, &to
	if s.NoWords != "" {
		t.Outcome, t.Why = pipeline.NotChecked, s.NoWords
		return
	}
	switch speech.SaidDigits(s.Heard, t.Wanted) {
	case speech.Clearly:
		t.Outcome = pipeline.Pass
		if spoken < minSpoken {
			t.Outcome, t.Why = pipeline.Uncertain, "slight"
		}
	case speech.Nearly:
		t.Outcome, t.Why = pipeline.Uncertain, "near_digits"
	default:
		t.Outcome, t.Why = pipeline.Fail, "other_digits"
	}
}
