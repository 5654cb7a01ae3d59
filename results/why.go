package results

import (
	"fmt"

	"onsite/pipeline"
)

// Why says why something went as it did, in words for people.
type Why struct {
	Rule string        `json:"rule"` // stable name: media_truncated, models_missing, event_not_json, receiver_status, ...
	Text pipeline.Text `json:"text"`
}

// Because makes a Why. The arguments fill both languages in the same order.
func Because(rule, en, zh string, args ...any) *Why {
	if len(args) > 0 {
		en, zh = fmt.Sprintf(en, args...), fmt.Sprintf(zh, args...)
	}
	return &Why{Rule: rule, Text: pipeline.Text{EN: en, ZH: zh}}
}

// Say gives the English words, for logs; of nil none.
func (w *Why) Say() string {
	if w == nil {
		return ""
	}
	return w.Text.EN
}

// Disabled says why nothing more is sent to an endpoint: by its Why, gone or admin.
func Disabled(why string) *Why {
	const rule = "endpoint_disabled"
	switch why {
	case "gone":
		return Because(rule, "the endpoint is disabled: its receiver answered that it is gone for good (410)", "该端点已停用：接收方回应已永久移除（410）")
	case "admin":
		return Because(rule, "the endpoint is disabled: an administrator did it", "该端点已停用：由管理员停用")
	}
	return Because(rule, "the endpoint is disabled: %s", "该端点已停用：%s", why)
}
