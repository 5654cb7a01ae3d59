package verify

import (
	"fmt"
	"strings"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
)

// PolicyError says that the media can be decoded, but is not what the policy takes: another kind, or outside its limits.
type PolicyError struct {
	Rule string // stable name, for programs
	Text pipeline.Text
}

func (e *PolicyError) Error() string { return e.Text.EN }

var kinds = map[media.Kind]pipeline.Text{
	media.Video: {EN: "a video", ZH: "视频"},
	media.Photo: {EN: "a photo", ZH: "照片"},
}

// accept compares the media with what the policy takes.
func accept(p policy.Policy, i media.Info) error {
	if !p.Accepts(string(i.Kind)) {
		en, zh := make([]string, len(p.Media)), make([]string, len(p.Media))
		for n, k := range p.Media {
			en[n], zh[n] = kinds[media.Kind(k)].EN, kinds[media.Kind(k)].ZH
		}
		return &PolicyError{Rule: "media_kind", Text: pipeline.Text{
			EN: fmt.Sprintf("the media is %s, but policy %s takes %s; submit that, or choose another policy", kinds[i.Kind].EN, p.Name, strings.Join(en, " or ")),
			ZH: fmt.Sprintf("提交的媒体是%s，但策略 %s 只接受%s；请改为提交该类媒体，或选择其他策略", kinds[i.Kind].ZH, p.Name, strings.Join(zh, "、")),
		}}
	}
	l := p.Limits
	for _, rule := range []struct {
		field  string
		limit  *int64
		have   int64
		atMost bool
	}{
		{"max_bytes", l.MaxBytes, i.Bytes, true},
		{"max_pixels", l.MaxPixels, int64(i.Width) * int64(i.Height), true},
		{"max_duration_ms", l.MaxDurationMS, i.Duration.Milliseconds(), true},
		{"min_duration_ms", l.MinDurationMS, i.Duration.Milliseconds(), false},
	} {
		if rule.limit == nil || (i.Kind == media.Photo && strings.HasSuffix(rule.field, "_duration_ms")) {
			continue
		}
		if rule.atMost && rule.have > *rule.limit || !rule.atMost && rule.have < *rule.limit {
			return &PolicyError{Rule: "policy_" + rule.field, Text: pipeline.Text{
				EN: fmt.Sprintf("policy %s has %s: %d, the media has %d; submit media within the limit, or choose another policy", p.Name, rule.field, *rule.limit, rule.have),
				ZH: fmt.Sprintf("策略 %s 规定 %s 为 %d，媒体为 %d；请提交符合限制的媒体，或选择其他策略", p.Name, rule.field, *rule.limit, rule.have),
			}}
		}
	}
	return nil
}
