package policy

import (
	"maps"
	"slices"

	"onsite/pipeline"
)

// ofMedia is the argument by which a text knows what its media is.
const ofMedia = "media"

// OfPhoto gives a photo's check: the words of its findings then speak of a photo instead of a recording.
func OfPhoto(c pipeline.Check) pipeline.Check {
	c.Findings = slices.Clone(c.Findings)
	for i, f := range c.Findings {
		args := maps.Clone(f.Args)
		if args == nil {
			args = map[string]string{}
		}
		args[ofMedia] = photo
		c.Findings[i].Args = args
	}
	return c
}

// photo is the kind of media that has texts of its own (pipeline.MediaInfo.Kind).
const photo = "photo"

// photoTexts are codeTexts for what may be found in a photo, where those speak of a recording; photoDoubts likewise for doubtTexts.
var (
	photoTexts = map[pipeline.Code]pipeline.Text{
		pipeline.FootageReused: {
			EN: "This photo, or part of it, was handed in before[: “{job}”].[ {earlier}]",
			ZH: "该照片的全部或部分此前已提交过[：“{job}”]。[{earlier}]",
		},
		pipeline.SameContent: {
			EN: "The same place and content were handed in before[ (“{job}”)]; it could not be told whether this is the same photo.[ The picture itself, not just the place, seems to have been handed in before: {agree} of its points lie where they did.][ {earlier}][ {still}]",
			ZH: "此前提交过相同地点和内容的画面[（“{job}”）]，无法判断是否为同一张照片。[不仅地点相同，画面本身似乎此前已提交过：{agree} 的特征点位置一致。][{earlier}][{still}]",
		},
		pipeline.HistoryIncomplete: {
			EN: "This photo was not compared with all that was handed in earlier.[ Of that, {missing} could not be read.][ All of its pictures that can be looked up ({flooded}) are like so much earlier footage that none of it was looked up; if they show a background, it can be marked.]",
			ZH: "该照片未与全部先前提交的内容比对。[其中 {missing} 份无法读取。][其可供查找的全部画面（{flooded} 个）均与大量先前的画面相似，因此未据此查找；如其显示的是背景，可将其标记。]",
		},
		pipeline.StreamAltered: {
			EN: "The photo shows traces of having been altered after it was taken[: {signs}].",
			ZH: "该照片有拍摄后被改动的痕迹[：{signs}]。",
		},
		pipeline.ChallengeFailed: {
			EN: "The task that was set for this photo was not fulfilled[: {task}][: {problem}].",
			ZH: "本次拍照要求完成的动作没有完成[：{task}][：{problem}]。",
		},
		pipeline.ChallengeMissing: {
			EN: "This kind of upload needs a task that is set right before the photo is taken, and it answers none.",
			ZH: "此类提交须在拍照前领取任务并在拍照时完成，而本次提交没有对应的任务。",
		},
	}
	photoDoubts = map[pipeline.Code]pipeline.Text{
		pipeline.InjectedStream: {
			EN: "The file seems to have passed through other software before it was handed in[: “{program}”]. Saving or sending a photo can do that, too.",
			ZH: "该文件在提交前似乎经过其他软件处理[：“{program}”]。保存或转发照片也可能造成这种情况。",
		},
		pipeline.StreamAltered: {
			EN: "The photo may have been altered after it was taken[: {signs}].",
			ZH: "该照片可能在拍摄后被改动[：{signs}]。",
		},
		pipeline.ChallengeFailed: {
			EN: "It could not be told whether the task that was set for this photo was fulfilled[: {task}][: {problem}].",
			ZH: "无法判断本次拍照要求完成的动作是否完成[：{task}][：{problem}]。",
		},
	}
)
