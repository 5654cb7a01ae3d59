package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"onsite/pipeline"
)

// signTexts are the signs of a recorded face in words, by their names in the check's detail.
var signTexts = map[string]pipeline.Text{
	"still_face":            {EN: "the face hardly changes over seconds", ZH: "脸部在数秒内几乎没有变化"},
	"stiff_face":            {EN: "the face moves as a flat picture does", ZH: "脸部像平面图片一样整体移动"},
	"still_mouth":           {EN: "the lips do not move", ZH: "嘴唇不动"},
	"still_eyes":            {EN: "the eyelids do not move", ZH: "眼睑不动"},
	"no_depth":              {EN: "a head that turns shows no depth", ZH: "头部转动时没有立体感"},
	"never_blinks":          {EN: "no blink", ZH: "没有眨眼"},
	"moves_with_background": {EN: "what is beside the head moves with it", ZH: "头部旁边的画面随头部一起移动"},
	"fine_pattern":          {EN: "a fine pattern as of a screen or a print", ZH: "有屏幕或印刷品般的细密纹理"},
	"fringes":               {EN: "coloured fringes as of a screen", ZH: "有屏幕般的彩色条纹"},
	"pattern_all_over":      {EN: "a fine pattern in the whole picture", ZH: "整个画面都有细密纹理"},
	"fringes_all_over":      {EN: "coloured fringes in the whole picture", ZH: "整个画面都有彩色条纹"},
	"outline":               {EN: "straight edges all around the face, as of a sheet or a screen", ZH: "脸部四周有直边，如同纸张或屏幕"},
	"bezel":                 {EN: "a dark frame along these edges", ZH: "直边旁有深色边框"},
	"screen_sides":          {EN: "the sides of a screen near the picture's own", ZH: "画面边缘附近有屏幕的侧边"},
	"grey_black":            {EN: "nothing is really dark, as on paper or a lit screen", ZH: "没有真正的暗部，如同纸张或发光的屏幕"},
	"dull_white":            {EN: "nothing is really bright", ZH: "没有真正的亮部"},
	"burnt_out":             {EN: "a lamp mirrored as in glass", ZH: "有玻璃般的灯光反射"},
	"sharp_all_over":        {EN: "face and background are equally sharp", ZH: "脸部与背景同样清晰"},
}

// Signs are log odds: from leastSign on one is worth a reader's time, from strongSign on it says much by itself (odds of 7).
const leastSign, strongSign = 0.25, 2

// fromSigns says that a reason rests on what signNotes say: they stand beside it, and not again with the check.
func fromSigns(r pipeline.Reason) bool {
	return r.Code == pipeline.SpoofSuspected || r.Code == pipeline.LivenessUncertain
}

// signNotes say what a check of liveness that does not pass weighed besides the model: its signs, the strongest first.
func signNotes(c pipeline.Check) []pipeline.Text {
	if c.Outcome != pipeline.Fail && c.Outcome != pipeline.Uncertain {
		return nil
	}
	var detail struct {
		Signs map[string]float64 `json:"signs"`
		Votes pipeline.Outcome   `json:"votes"`
	}
	if !read(c.Detail, &detail) {
		return nil
	}
	names := slices.SortedFunc(maps.Keys(detail.Signs), func(a, b string) int {
		return cmp.Or(cmp.Compare(detail.Signs[b], detail.Signs[a]), cmp.Compare(a, b))
	})
	var en, zh []string
	for _, name := range names {
		t, ok := signTexts[name]
		switch worth := detail.Signs[name]; {
		case !ok || worth < leastSign:
		case worth >= strongSign:
			en, zh = append(en, t.EN+" (strong)"), append(zh, t.ZH+"（强）")
		default:
			en, zh = append(en, t.EN), append(zh, t.ZH)
		}
	}
	var out []pipeline.Text
	if len(en) > 0 {
		out = append(out, pipeline.Text{EN: "What speaks for a recorded face: " + strings.Join(en, "; ") + ".", ZH: "指向翻拍人脸的迹象：" + strings.Join(zh, "；") + "。"})
	}
	switch detail.Votes {
	case pipeline.Pass:
		out = append(out, pipeline.Text{EN: "The model takes the face for live in single pictures.", ZH: "模型对单幅画面的判断：真人。"})
	case pipeline.Fail:
		out = append(out, pipeline.Text{EN: "The model takes the face for a recorded one in single pictures.", ZH: "模型对单幅画面的判断：翻拍。"})
	}
	return out
}
