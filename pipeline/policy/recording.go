package policy

import (
	"fmt"
	"slices"
	"strconv"

	"onsite/pipeline"
)

// Speech says what the speech check asks of a recording. The zero value asks for somebody who speaks.
type Speech struct {
	MinSeconds *float64      `yaml:"min_seconds" json:"min_seconds,omitempty"` // of speech; nil: the default of the check, one second
	Lips       bool          `yaml:"lips" json:"lips,omitempty"`               // the mouth in view must move with the voice; needs consent to face processing
	Words      []string      `yaml:"words" json:"words,omitempty"`             // phrases to be said; needs a speech model
	AtLeast    int           `yaml:"at_least" json:"at_least,omitempty"`       // how many of them are enough; 0: all
	Prompt     pipeline.Text `yaml:"prompt" json:"prompt,omitzero"`            // what the employee is asked to say, for the app that records
}

// Challenge says what a person must be asked to do in the recording. It is part of the liveness check.
type Challenge struct {
	Wanted  bool                     `yaml:"wanted" json:"wanted,omitempty"`
	Kinds   []pipeline.ChallengeKind `yaml:"kinds" json:"kinds,omitempty"`     // that may be drawn; empty: DefaultChallengeKinds
	Tasks   int                      `yaml:"tasks" json:"tasks,omitempty"`     // how many are drawn; 0: DefaultChallengeTasks
	Seconds int                      `yaml:"seconds" json:"seconds,omitempty"` // from the issue until the upload is complete; 0: DefaultChallengeSeconds
}

// What a policy that wants a challenge asks for unless it says otherwise. Two minutes hold the reading of the task, 15 seconds of recording and
// an upload over a poor line.
const (
	DefaultChallengeTasks   = 2
	DefaultChallengeSeconds = 120
)

// DefaultChallengeKinds are those that need no speech model and no steady hand.
var DefaultChallengeKinds = []pipeline.ChallengeKind{pipeline.TurnLeft, pipeline.TurnRight, pipeline.Nod, pipeline.ShowCode}

// Filled gives the rules with every default in its place; a challenge that is not wanted has none.
func (c Challenge) Filled() Challenge {
	if !c.Wanted {
		return c
	}
	if len(c.Kinds) == 0 {
		c.Kinds = DefaultChallengeKinds
	}
	if c.Tasks == 0 {
		c.Tasks = min(DefaultChallengeTasks, len(c.Kinds))
	}
	if c.Seconds == 0 {
		c.Seconds = DefaultChallengeSeconds
	}
	return c
}

// Reuse says what the reuse check may look at beside the picture.
type Reuse struct {
	// Audio lets the sound be a witness: a fingerprint of it is made, kept and compared. Off unless a policy asks for it, and then only for
	// subjects with a consent to the purpose "sound".
	Audio bool `yaml:"audio" json:"audio,omitempty"`
}

// Listens says whether the sound of a recording is looked at at all.
func (p Policy) Listens() bool {
	digits := p.Challenge.Wanted && slices.Contains(p.Challenge.Kinds, pipeline.SayDigits)
	return p.Checks[pipeline.CheckSpeech].Need != Never || p.Reuse.Audio || digits
}

// Bounds of what a policy may ask.
const (
	maxWords            = 20
	maxWordRunes        = 80
	maxSpeechSeconds    = 60.0
	maxChallengeTasks   = 3
	minChallengeSeconds = 30
	maxChallengeSeconds = 900
)

func (v *validator) speech(p Policy) {
	s := p.Speech
	if n := s.MinSeconds; n != nil && !(*n > 0 && *n <= maxSpeechSeconds) {
		v.add("speech.min_seconds", strconv.FormatFloat(*n, 'g', -1, 64), saidf("more than 0, at most %g", "大于 0，最多 %g", maxSpeechSeconds), said("say how long somebody must speak, or leave the field out", "请说明须说话多长时间，或省略此项"))
	}
	if len(s.Words) > maxWords {
		v.add("speech.words", strconv.Itoa(len(s.Words)), saidf("at most %d", "最多 %d", maxWords), said("name fewer phrases", "请减少语句"))
	}
	for i, w := range s.Words {
		if n := len([]rune(w)); n == 0 || n > maxWordRunes {
			v.add(fmt.Sprintf("speech.words[%d]", i), w, saidf("1 to %d characters", "1 至 %d 个字符", maxWordRunes), said("name a phrase that is to be said", "请写明要说的语句"))
		}
	}
	if s.AtLeast < 0 || s.AtLeast > len(s.Words) {
		v.add("speech.at_least", strconv.Itoa(s.AtLeast), saidf("0 to %d, as many as there are words", "0 至 %d，即语句的数量", len(s.Words)), said("say how many of speech.words are enough; 0 is all", "请说明 speech.words 中说出多少条即可；0 表示全部"))
	}
	if (s.Prompt.EN == "") != (s.Prompt.ZH == "") {
		v.add("speech.prompt", s.Prompt.EN+s.Prompt.ZH, said("both en and zh, or neither", "en 和 zh 同时写，或都不写"), said("say it in both languages", "请用两种语言书写"))
	}
	asks := s.MinSeconds != nil || s.Lips || len(s.Words) > 0 || s.Prompt != pipeline.Text{}
	if asks && p.Checks[pipeline.CheckSpeech].Need == Never {
		v.add("speech", "", said("nothing, while checks.speech.need is never", "checks.speech.need 为 never 时不得填写"), said("set checks.speech: {need: with_video}, or leave speech out", "请设置 checks.speech: {need: with_video}，或省略 speech"))
	}
}

func (v *validator) liveness(p Policy) {
	if !p.Liveness.Skin {
		return
	}
	if p.Checks[pipeline.CheckLiveness].Need == Never {
		v.add("liveness.skin", "true", said("false, while checks.liveness.need is never", "checks.liveness.need 为 never 时须为 false"), said("it is a part of the liveness check: want that, too", "它是活体检查的一部分：请同时要求活体检查"))
	}
	if !p.Accepts("video") {
		v.add("liveness.skin", "true", said("false, where the policy takes no video", "策略不接受视频时须为 false"), said("a single photo shows no change: take video in media, or leave skin out", "单张照片看不出变化：请在 media 中接受视频，或省略 skin"))
	}
}

func (v *validator) challenge(p Policy) {
	c := p.Challenge
	if !c.Wanted {
		if len(c.Kinds) > 0 || c.Tasks != 0 || c.Seconds != 0 {
			v.add("challenge.wanted", "false", said("true, or no other field of challenge", "true，或不写 challenge 的其他项"), said("set wanted: true, or leave challenge out", "请设置 wanted: true，或省略 challenge"))
		}
		return
	}
	if p.Checks[pipeline.CheckLiveness].Need == Never {
		v.add("challenge.wanted", "true", said("false, while checks.liveness.need is never", "checks.liveness.need 为 never 时须为 false"), said("a challenge is part of the liveness check: want that, too", "现场任务是活体检查的一部分：请同时要求活体检查"))
	}
	for i, k := range c.Kinds {
		at := fmt.Sprintf("challenge.kinds[%d]", i)
		oneOf(v, at, k, pipeline.ChallengeKinds, said("correct or remove it", "请更正或删除"))
		switch {
		case slices.Index(c.Kinds, k) != i:
			v.add(at, string(k), said("each kind once", "每种只写一次"), said("remove the repetition", "请删除重复项"))
		case k.Moves() && p.Accepts("photo"):
			v.add(at, string(k), said(string(pipeline.ShowCode)+", where the policy takes photos", "策略接受照片时只能是 "+string(pipeline.ShowCode)), said("a single photo shows no movement and has no sound: leave photo out of media, or ask for show_code alone", "单张照片没有动作和声音：请从 media 中去掉 photo，或只要求 show_code"))
		}
	}
	if most := min(maxChallengeTasks, len(c.Kinds)); c.Tasks < 1 || c.Tasks > most {
		v.add("challenge.tasks", strconv.Itoa(c.Tasks), saidf("1 to %d, and not more than there are kinds", "1 至 %d，且不多于 kinds 的数量", maxChallengeTasks), said("say how many tasks one challenge has", "请说明一次包含多少个任务"))
	}
	if c.Seconds < minChallengeSeconds || c.Seconds > maxChallengeSeconds {
		v.add("challenge.seconds", strconv.Itoa(c.Seconds), saidf("%d to %d", "%d 至 %d", minChallengeSeconds, maxChallengeSeconds), said("leave time to record and to upload, and little more", "请留出录制和上传的时间，不宜过多"))
	}
}
