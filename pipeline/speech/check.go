package speech

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"onsite/pipeline"
)

// Models is what the check needs from outside: package models gives it, tests give a fake.
type Models interface {
	// VoiceActivity gives the probability (0..1) of speech for each full Window of sound.
	VoiceActivity(ctx context.Context, pcm []float32) ([]float32, error)
}

// Transcribe turns sound (mono, Rate) into words. ErrNoTranscriber says that no model for it is installed.
type Transcribe func(ctx context.Context, pcm []float32) (string, error)

// ErrNoTranscriber says that no speech model is installed: words are not_checked, never missing.
var ErrNoTranscriber = errors.New("no speech model is installed")

// WhyNoTranscriber is the code of it, for pipeline.Check.Why.
const WhyNoTranscriber = "no_transcriber"

// Config says what is wanted of a recording.
type Config struct {
	Enter, Leave float64       // probabilities at which speech begins and ends
	Doubt        float64       // probability from which a window may be speech: what could be speech at most
	MinSpeech    time.Duration // that is wanted
	WantLips     bool          // the mouth must move with the voice
	Lips         LipsConfig
	Words        []string // wanted phrases
	AtLeast      int      // how many of them must be said; 0: all
}

// DefaultConfig takes Silero's own probabilities and asks for a second of speech.
func DefaultConfig() Config {
	return Config{Enter: 0.5, Leave: 0.35, Doubt: 0.2, MinSpeech: time.Second, Lips: DefaultLipsConfig()}
}

// Sound is the sound of one clip, and what is seen of the speaker.
type Sound struct {
	PCM    []float32 // mono, Rate; empty: the clip has no sound track
	Length time.Duration
	Mouth  []Mouth // of the subject; nil: nobody was followed
	NoLips string  // why nobody was: no_consent, no_face, ...
}

// Heard is what Listen found, in memory only.
type Heard struct {
	Level    Level
	Segments []Segment
	Possible time.Duration // windows that may be speech
}

// Listen finds the voice in a sound.
func Listen(ctx context.Context, m Models, pcm []float32, c Config) (Heard, error) {
	h := Heard{Level: Measure(pcm)}
	if h.Level.Silent || len(pcm) < Window {
		return h, nil
	}
	p, err := m.VoiceActivity(ctx, pcm)
	if err != nil {
		return h, fmt.Errorf("listen for a voice: %w", err)
	}
	h.Segments = Segments(p, float32(c.Enter), float32(c.Leave))
	for _, v := range p {
		if float64(v) >= c.Doubt {
			h.Possible += windowT
		}
	}
	return h, nil
}

// Spoken is the part of a sound from a little before the first word to a little after the last, at most 30 s: what a transcriber is given.
func (h Heard) Spoken(pcm []float32) []float32 {
	if len(h.Segments) == 0 {
		return nil
	}
	const margin, most = 300 * time.Millisecond, 30 * time.Second
	from := max(0, h.Segments[0].From-margin)
	to := min(h.Segments[len(h.Segments)-1].To+margin, from+most)
	at := func(t time.Duration) int { return min(len(pcm), int(t*Rate/time.Second)) }
	return pcm[at(from):at(to)]
}

// Check answers with what the policy wants of what was heard: speech at all, lips that go with it, words. A clip without a sound track is
// not_checked; one with an empty track fails, for a person to look at.
func Check(ctx context.Context, h Heard, transcribe Transcribe, s Sound, c Config) (pipeline.Check, error) {
	if len(s.PCM) == 0 {
		return pipeline.Check{Outcome: pipeline.NotChecked, Why: "no_audio"}, nil
	}
	total := Total(h.Segments)
	score, threshold := seconds(total), c.MinSpeech.Seconds()
	out := pipeline.Check{
		Outcome: pipeline.Pass, Score: &score, Threshold: &threshold, Near: math.Abs(score-threshold) < near,
		Detail: map[string]any{"basis": "seconds_of_speech", "share": round(total.Seconds() / max(s.Length, windowT).Seconds()), "sound": h.Level.word(),
			"level_db": math.Round(h.Level.RMSDB), "clipped": round(h.Level.Clipped), "segments": spans(h.Segments)},
	}
	switch {
	case total >= c.MinSpeech:
	case h.Possible < c.MinSpeech:
		add(&out, pipeline.NoSpeech, pipeline.Fail, map[string]string{"seconds": decimal(score), "wanted": decimal(threshold)}, nil)
	default:
		add(&out, pipeline.NoSpeech, pipeline.Uncertain, map[string]string{"seconds": decimal(score), "wanted": decimal(threshold)}, nil)
	}
	if c.WantLips {
		lips(&out, h, s, c)
	}
	if len(c.Words) > 0 {
		if err := words(ctx, &out, h, transcribe, s, c); err != nil {
			return pipeline.Check{}, err
		}
	}
	return out, nil
}

// near is how many seconds from the threshold another machine may decide otherwise.
const near = 0.15

// The elements of the check that may be missing by themselves; package policy has their names.
const (
	ElementLips  = "lips"
	ElementWords = "words"
)

// lips adds what the mouth does.
func lips(out *pipeline.Check, h Heard, s Sound, c Config) {
	if s.NoLips != "" {
		missing(out, ElementLips, s.NoLips)
		return
	}
	l := FollowLips(s.Mouth, h.Segments, c.Lips)
	detail := map[string]any{"outcome": l.Outcome, "seen_ms": l.Seen.Milliseconds(), "voice": round(l.Voice), "silence": round(l.Silence),
		"correlation": round(l.R), "low": round(l.Low), "high": round(l.High)}
	if l.Why != "" {
		detail["why"] = l.Why
	}
	out.Detail["lips"] = detail
	if l.Outcome == pipeline.Pass || Total(h.Segments) == 0 { // without a voice there is nothing that a mouth could go with
		return
	}
	add(out, pipeline.VoiceWithoutLips, l.Outcome, nil, voiceAt(h.Segments))
}

// words adds which of the wanted phrases are said. What else is said goes nowhere.
func words(ctx context.Context, out *pipeline.Check, h Heard, transcribe Transcribe, s Sound, c Config) error {
	if len(h.Segments) == 0 { // as sure as that nobody speaks
		outcome := pipeline.Uncertain
		if h.Possible < c.MinSpeech {
			outcome = pipeline.Fail
		}
		add(out, pipeline.WordsNotSaid, outcome, nil, nil)
		return nil
	}
	heard, err := transcribe(ctx, h.Spoken(s.PCM))
	if errors.Is(err, ErrNoTranscriber) {
		missing(out, ElementWords, WhyNoTranscriber)
		return nil
	} else if err != nil {
		return fmt.Errorf("transcribe what is said: %w", err)
	}
	need := c.AtLeast
	if need == 0 || need > len(c.Words) {
		need = len(c.Words)
	}
	said, nearly := []string{}, 0
	for _, phrase := range c.Words {
		switch got, _ := SaidPhrase(heard, phrase); got {
		case Clearly:
			said = append(said, phrase)
		case Nearly:
			nearly++
		}
	}
	out.Detail["words"] = map[string]any{"said": said, "wanted": need, "of": len(c.Words)}
	switch {
	case len(said) >= need:
	case len(said)+nearly >= need:
		add(out, pipeline.WordsNotSaid, pipeline.Uncertain, nil, voiceAt(h.Segments))
	default:
		add(out, pipeline.WordsNotSaid, pipeline.Fail, nil, voiceAt(h.Segments))
	}
	return nil
}

// add notes a finding; the check's outcome is that of the strongest.
func add(out *pipeline.Check, code pipeline.Code, outcome pipeline.Outcome, args map[string]string, e []pipeline.Evidence) {
	if out.Outcome != pipeline.Fail {
		out.Outcome = outcome
	}
	out.Findings = append(out.Findings, pipeline.Finding{Code: code, Outcome: outcome, Args: args, Evidence: e})
}

// missing notes a wanted element that could not be looked at.
func missing(out *pipeline.Check, element, why string) {
	out.Detail[element] = map[string]any{"outcome": pipeline.NotChecked, "why": why}
	add(out, pipeline.NotCheckedWanted, pipeline.Uncertain, map[string]string{"element": element, "why": why}, nil)
}

// shown is how many segments evidence and detail name.
const shown = 40

func voiceAt(all []Segment) (out []pipeline.Evidence) {
	for _, s := range all[:min(len(all), shown)] {
		from, to := s.From.Milliseconds(), s.To.Milliseconds()
		out = append(out, pipeline.Evidence{Kind: "segment", Label: "voice", FromMS: &from, ToMS: &to})
	}
	return out
}

func spans(all []Segment) [][2]int64 {
	out := [][2]int64{}
	for _, s := range all[:min(len(all), shown)] {
		out = append(out, [2]int64{s.From.Milliseconds(), s.To.Milliseconds()})
	}
	return out
}

// word names what there is to hear.
func (l Level) word() string {
	switch {
	case l.Silent:
		return "silent"
	case l.Clipped > 0.01:
		return "clipped"
	}
	return "heard"
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
func round(v float64) float64         { return math.Round(v*1000) / 1000 }
func decimal(v float64) string        { return fmt.Sprintf("%.1f", v) }
