package verify

import (
	"context"
	"slices"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/challenge"
	"onsite/pipeline/liveness"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/scene"
	"onsite/pipeline/speech"
)

// heard is the sound of a job, in memory only: what was said is in no verdict.
type heard struct {
	speech.Heard
	written bool // text holds what a transcriber understood, or err why none did
	text    string
	err     error
}

// A face that must be followed over the whole clip is followed in smaller pictures, since 24 s at the usual 640 pixels would be 250 MB; longer
// clips in their middle. Liveness looks at the windows that it always has (liveness.Windows), in these pictures: a fifth less fine
// than those that its signs were fitted on.
const (
	followLength = 24 * time.Second
	followSide   = 512
)

// request is how the job's media is decoded: with sound where the policy listens and the person consented, and with colour frames at ten a
// second over the whole clip where head, eyes or mouth are followed.
func (r *run) request() media.Request {
	q := media.DefaultRequest()
	q.Audio = r.listens()
	if r.follows() {
		q.Bursts, q.BurstLength, q.BurstMaxSide = 1, followLength, followSide
	}
	return q
}

func (r *run) listens() bool {
	return r.Hear && !r.measuring && r.Policy.Name != "" && r.Policy.Listens()
}

// follows says that the face is followed over the whole clip.
func (r *run) follows() bool {
	if !r.Consent || r.measuring {
		return false
	}
	moves := r.answers() && slices.ContainsFunc(r.Challenge.Tasks, func(t challenge.Task) bool {
		return t.Kind != pipeline.ShowCode && t.Kind != pipeline.SayDigits
	})
	return moves || r.skin() || r.wants(pipeline.CheckSpeech) && r.Policy.Speech.Lips
}

// skin says that a change of the skin's colour is looked for.
func (r *run) skin() bool { return r.Policy.Liveness.Skin && r.wants(pipeline.CheckLiveness) }

// noteSkin adds to the liveness check whether the skin's colour changes, or why that could not be read. It decides nothing: not even its own
// failure makes the check one that broke.
func noteSkin(check *pipeline.Check, clip *media.Clip, track *liveness.Track) {
	if check.Detail == nil {
		return // nobody was found
	}
	skin, err := liveness.SkinOf(clip, track)
	if err != nil {
		check.Detail["skin_error"] = err.Error()
		return
	}
	check.Detail["skin_changes"] = skin
}

// answers says that there are tasks to look for.
func (r *run) answers() bool {
	return r.Policy.Challenge.Wanted && r.Challenge != nil && r.Challenge.State == challenge.Fresh
}

func (r *run) asks(k pipeline.ChallengeKind) bool {
	return r.answers() && slices.ContainsFunc(r.Challenge.Tasks, func(t challenge.Task) bool { return t.Kind == k })
}

// recording looks at what the person says and does: the speech check, and the challenge as a part of the liveness check.
func (r *run) recording(ctx context.Context) error {
	if why, off := r.noSpeech(); off {
		r.set(pipeline.CheckSpeech, notChecked(why))
	} else if err := r.stage(ctx, StageSpeech, r.speech); err != nil {
		return err
	}
	if !r.Policy.Challenge.Wanted || r.measuring {
		return nil
	}
	return r.stage(ctx, StageChallenge, r.challenged)
}

func (r *run) noSpeech() (string, bool) {
	switch {
	case !r.wants(pipeline.CheckSpeech):
		return policy.WhyNotWanted, true
	case r.measuring:
		return policy.WhyMeasuring, true
	case r.clip.Info.Kind == media.Photo:
		return policy.WhyPhotoNoTime, true
	case !r.Hear:
		return policy.WhyNoSound, true
	case len(r.clip.PCM) == 0:
		return policy.WhyNoAudio, true
	}
	return "", false
}

func (r *run) speech(ctx context.Context) error {
	c := speechConfig(r.Policy)
	s := speech.Sound{PCM: r.clip.PCM, Length: r.clip.Info.Duration}
	if c.WantLips {
		if s.NoLips = r.noTrack(); s.NoLips == "" {
			track, err := r.follow(ctx)
			if err != nil {
				return r.broke(pipeline.CheckSpeech, err)
			}
			for _, m := range track.Moments {
				s.Mouth = append(s.Mouth, speech.Mouth{At: m.PTS, Open: m.Mouth})
			}
		}
	}
	h, err := r.listen(ctx)
	if err != nil {
		return r.broke(pipeline.CheckSpeech, err)
	}
	check, err := speech.Check(ctx, h.Heard, r.transcribe, s, c)
	if err != nil {
		return r.broke(pipeline.CheckSpeech, err)
	}
	r.set(pipeline.CheckSpeech, check)
	return nil
}

// listen finds the voice, once for a job.
func (r *run) listen(ctx context.Context) (*heard, error) {
	if r.heard != nil {
		return r.heard, nil
	}
	h, err := speech.Listen(ctx, r.Models, r.clip.PCM, speechConfig(r.Policy))
	if err != nil {
		return nil, err
	}
	r.heard = &heard{Heard: h}
	return r.heard, nil
}

// transcribe writes down what is said, once for a job: whoever asks, the sound is the same.
func (r *run) transcribe(ctx context.Context, pcm []float32) (string, error) {
	if !r.Models.HasTranscriber() {
		return "", speech.ErrNoTranscriber
	}
	if h := r.heard; !h.written {
		var got models.Transcript
		got, h.err = r.Models.Transcribe(ctx, pcm)
		h.text, h.written = got.Text, true
	}
	return r.heard.text, r.heard.err
}

// noTrack says why the face cannot be followed; "": it can.
func (r *run) noTrack() string {
	switch {
	case !r.Consent:
		return policy.WhyNoConsent
	case r.clip.Info.Kind == media.Photo:
		return policy.WhyPhotoNoTime
	case !r.wants(pipeline.CheckFace) && !r.wants(pipeline.CheckLiveness):
		return policy.WhyNotWanted
	case r.found.Subject() < 0:
		return policy.WhyNoFace
	}
	return ""
}

// follow places the subject's face in every frame of the bursts, once for a job.
func (r *run) follow(ctx context.Context) (*liveness.Track, error) {
	if r.track == nil {
		t, err := liveness.Follow(ctx, r.Models, r.clip, r.found)
		if err != nil {
			return nil, err
		}
		r.track = &t
	}
	return r.track, nil
}

// challenged adds to the liveness check what became of the challenge. Without consent no face is looked at, and nothing but what is stored
// counts.
func (r *run) challenged(ctx context.Context) error {
	check := r.get(pipeline.CheckLiveness)
	switch {
	case r.Challenge == nil:
		challenge.Missing(&check)
	case r.Challenge.State == challenge.Fresh && !r.Consent:
		return nil
	default:
		seen, err := r.seen(ctx)
		if err != nil {
			return r.broke(pipeline.CheckLiveness, err)
		}
		challenge.Apply(&check, *r.Challenge, challenge.Verify(*r.Challenge, seen))
	}
	r.set(pipeline.CheckLiveness, check)
	return nil
}

// seen gathers what the tasks are judged by, and nothing that none of them asks for.
func (r *run) seen(ctx context.Context) (challenge.Seen, error) {
	s := challenge.Seen{Length: r.clip.Info.Duration, NoFace: r.noTrack()}
	if r.follows() && s.NoFace == "" {
		track, err := r.follow(ctx)
		if err != nil {
			return s, err
		}
		for _, m := range track.Moments {
			s.Poses = append(s.Poses, challenge.Pose{At: m.PTS, Yaw: m.Yaw, Pitch: m.Pitch, Eyes: m.EyesOpen})
		}
	}
	if r.asks(pipeline.SayDigits) {
		if err := r.digits(ctx, &s); err != nil {
			return s, err
		}
	}
	if r.asks(pipeline.ShowCode) {
		return s, r.codes(ctx, &s)
	}
	return s, nil
}

// digits listens for what a challenge asks to be said.
func (r *run) digits(ctx context.Context, s *challenge.Seen) error {
	switch {
	case r.clip.Info.Kind == media.Photo:
		s.NoVoice = policy.WhyPhotoNoTime
		return nil
	case !r.Hear:
		s.NoVoice = policy.WhyNoSound
		return nil
	case len(r.clip.PCM) == 0:
		s.NoVoice = policy.WhyNoAudio
		return nil
	}
	h, err := r.listen(ctx)
	if err != nil {
		return err
	}
	s.Voice = h.Segments
	switch {
	case !r.Models.HasTranscriber():
		s.NoWords = policy.WhyNoSpeech
	case len(h.Segments) > 0:
		s.Heard, err = r.transcribe(ctx, h.Spoken(r.clip.PCM))
	}
	return err
}

// codeFrames bounds the frames in which a code is looked for: one in a second of a clip of 15 s.
const codeFrames = 15

// codes reads what the frames show until the code is there: every other frame first, since a code is shown for three seconds.
func (r *run) codes(ctx context.Context, s *challenge.Seen) error {
	wanted := ""
	for _, t := range r.Challenge.Tasks {
		if t.Kind == pipeline.ShowCode {
			wanted = t.Text
		}
	}
	cfg := scene.DefaultConfig()
	for _, n := range alternating(len(r.clip.Frames), codeFrames) {
		f := r.clip.Frames[n]
		words, err := scene.ReadLines(ctx, r.Models, f, wanted, cfg)
		if err != nil {
			return err
		}
		for _, w := range words {
			s.Texts = append(s.Texts, challenge.Reading{Keyframe: n, At: f.PTS, Text: w.Text, Mirrored: w.Mirrored, Outline: w.Outline})
		}
		if challenge.Shows(wanted, s.Texts) {
			return nil
		}
	}
	return nil
}

// alternating gives at most k of n places, spread evenly: the even ones of them first.
func alternating(n, k int) []int {
	k = min(n, k)
	var out []int
	for first := range 2 {
		for i := first; i < k; i += 2 {
			out = append(out, i*n/k)
		}
	}
	return out
}

// recordingTasks adds the models that these checks used.
func (r *run) recordingTasks(tasks []models.Task) []models.Task {
	used := func(more ...models.Task) {
		for _, t := range more {
			if !slices.Contains(tasks, t) {
				tasks = append(tasks, t)
			}
		}
	}
	if r.track != nil {
		used(models.FaceDetect, models.FaceLandmark, models.EyeState)
	}
	if r.heard != nil {
		used(models.VoiceActivity)
		if r.heard.written {
			used(models.Transcribe)
		}
	}
	if r.asks(pipeline.ShowCode) && r.Consent {
		used(models.TextDetect, models.TextRecognize)
	}
	return tasks
}
