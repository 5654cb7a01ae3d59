package report

import (
	"encoding/json"
	"fmt"

	"onsite/pipeline"
)

// notes are what a reader must know about a check besides its outcome: the signs of a recorded face, which matches of the reuse check an
// investigator took back, and that some pictures were not looked up. A detail that is not as the check writes it says nothing.
func notes(name pipeline.CheckName, c pipeline.Check) []pipeline.Text {
	if name == pipeline.CheckLiveness {
		return signNotes(c)
	}
	if name != pipeline.CheckReuse || c.Detail["cleared"] == nil && c.Detail["flooded"] == nil {
		return nil
	}
	var detail struct {
		Cleared []struct {
			Job       string `json:"job"`
			ClearedBy string `json:"cleared_by"`
			Verdict   string `json:"verdict"`
		} `json:"cleared"`
		Flooded int `json:"flooded"`
	}
	if !read(c.Detail, &detail) {
		return nil
	}
	var out []pipeline.Text
	for _, m := range detail.Cleared {
		was := pipeline.Text{EN: "alike", ZH: "相似画面"}
		if m.Verdict == "same_recording" {
			was = pipeline.Text{EN: "the same recording", ZH: "同一段录像"}
		}
		out = append(out, pipeline.Text{
			EN: fmt.Sprintf("Cleared: earlier footage %s was found to be %s; an investigator marked that as wrong (mark %s), so it does not count.", m.Job, was.EN, m.ClearedBy),
			ZH: fmt.Sprintf("已排除：曾判定历史画面 %s 为%s；调查人员已将其标记为误判（标记 %s），因此不计入。", m.Job, was.ZH, m.ClearedBy),
		})
	}
	if n := detail.Flooded; n > 0 {
		out = append(out, pipeline.Text{
			EN: fmt.Sprintf("Pictures that are like very much earlier footage, and were not looked up for that: %d. If they show a background, it can be marked.", n),
			ZH: fmt.Sprintf("有 %d 个画面与大量历史画面相似，因此未据此查找。如其显示的是背景，可将其标记。", n),
		})
	}
	return out
}

// read gives a check's detail as into, a pointer to a struct. A verdict that was read from JSON has it in other types than one that was just made.
func read(detail map[string]any, into any) bool {
	raw, err := json.Marshal(detail)
	return err == nil && json.Unmarshal(raw, into) == nil
}
