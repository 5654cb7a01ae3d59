package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onsite/pipeline"
)

// codeTexts says what each code means, to the person who investigates and to the one who is judged: what was seen, without jargon, and
// without more certainty than there is. {name} is filled from pipeline.Finding.Args; a part in [brackets] is left out when one of its
// names is not given.
var codeTexts = map[pipeline.Code]pipeline.Text{
	pipeline.FaceMismatch: {
		EN: "The face shown does not match the enrolled photos of this person.",
		ZH: "画面中的人脸与该员工登记的照片不一致。",
	},
	pipeline.FaceUncertain: {
		EN: "The face shown resembles the enrolled photos only in part: too little to confirm this person, too much to rule this person out.",
		ZH: "画面中的人脸与登记照片只有部分相似：既不足以确认是本人，也不足以排除是本人。",
	},
	pipeline.FaceLowQuality: {
		EN: "A face is visible, but it could not be compared[: {why}].",
		ZH: "画面中有人脸，但无法比对[：{why}]。",
	},
	pipeline.FaceChanged: {
		EN: "The person in front of the camera changes during the recording[, between {from} and {to}].",
		ZH: "录像过程中[（{from} 至 {to} 之间）]镜头前换了人。",
	},
	pipeline.NoFace: {
		EN: "No face is visible, so the person could not be confirmed.",
		ZH: "画面中没有出现人脸，无法确认是否为本人。",
	},
	pipeline.SeveralPeople: {
		EN: "Several people are in view[ ({people})], and it is not clear which of them made the upload.",
		ZH: "画面中有多人[（{people} 人）]，无法确定哪一位是提交者。",
	},
	pipeline.SpoofSuspected: {
		EN: "The face may come from a printed photo or a screen instead of a live person. This is an estimate that a person must judge.",
		ZH: "人脸可能来自打印照片或屏幕，而不是真人。这只是系统的估计，须由人工判断。",
	},
	pipeline.LivenessUncertain: {
		EN: "It could not be told whether a live person is in front of the camera[: {lacking}].",
		ZH: "无法判断镜头前是否为真人[：{lacking}]。",
	},
	pipeline.StaticImage: {
		EN: "The video shows a still picture: next to nothing in it moves[ for {seconds} seconds].",
		ZH: "该视频是静止画面[，持续 {seconds} 秒]，其中几乎没有任何运动。",
	},
	pipeline.ReplayedWithinClip: {
		EN: "Part of the recording is played again, frame by frame the same[: what is seen from {from} to {to} s returns later].",
		ZH: "录像中有一段被重复播放[（{from} 至 {to} 秒的内容之后再次出现）]，画面逐帧相同。",
	},
	pipeline.FrozenPart: {
		EN: "The picture stands still for a while[, from {from} to {to} s,] although the rest of the recording moves.",
		ZH: "录像中有一段画面静止不动[（{from} 至 {to} 秒）]，而其余部分正常运动。",
	},
	pipeline.LogoMissing: {
		EN: "The logo[ “{name}”] of the site was not found in view.",
		ZH: "画面中没有找到该地点的标志[“{name}”]。",
	},
	pipeline.DeskMissing: {
		EN: "The desk area[ “{name}”] of the site was not found in view.",
		ZH: "画面中没有找到该地点登记的工位[“{name}”]。",
	},
	pipeline.StorefrontMismatch: {
		EN: "The storefront[ “{name}”] of the site was not recognised in view.",
		ZH: "画面中没有认出该地点的门头[“{name}”]。",
	},
	pipeline.PosterMissing: {
		EN: "The poster[ “{name}”] that hangs at the site now was not found in view.",
		ZH: "画面中没有找到该地点当前应张贴的海报[“{name}”]。",
	},
	pipeline.PosterOutdated: {
		EN: "The poster[ “{name}”] in view is not one that hangs at the site now[; it is valid from {from}][; it was valid until {until}][; the date on it was read as “{read}”][; it belongs to {elsewhere}].",
		ZH: "画面中的海报[“{name}”]不是该地点当前应张贴的海报[，其有效期自 {from} 起][，其有效期至 {until}][，读到的日期为“{read}”][，它属于 {elsewhere}]。",
	},
	pipeline.PosterDiffers: {
		EN: "A poster of the same design[ as “{name}”] is in view, but with other content[: {differ} of {tiles} parts differ].",
		ZH: "画面中的海报与登记的海报[“{name}”]版式相同，但内容不同[：{tiles} 个部分中有 {differ} 个不一致]。",
	},
	pipeline.CabinetMissing: {
		EN: "The cabinet[ “{name}”] of the site was not found in view.",
		ZH: "画面中没有找到该地点登记的文件柜[“{name}”]。",
	},
	pipeline.RoomMissing: {
		EN: "The room of the site was not recognised in view.",
		ZH: "画面中没有认出该地点的房间。",
	},
	pipeline.ScreenMissing: {
		EN: "No computer screen was found in view.",
		ZH: "画面中没有找到电脑屏幕。",
	},
	pipeline.PersonMissing: {
		EN: "No person was found in view.",
		ZH: "画面中没有找到人。",
	},
	pipeline.SignNotRead: {
		EN: "The name of the site[ (“{wanted}”)] was not read on any sign in view[; what was read: “{read}”].",
		ZH: "没有在画面中的招牌上读到该地点的名称[（“{wanted}”）][；读到的文字为“{read}”]。",
	},
	pipeline.EnvironmentMismatch: {
		EN: "What is in view belongs to another place[: “{name}”][; the name “{read}” was read][; it looks like {place}], and nothing of the site was found.",
		ZH: "画面中的内容属于另一地点[：“{name}”][，读到名称“{read}”][，看起来像{place}]，且没有找到该地点的任何特征。",
	},
	pipeline.FootageReused: {
		EN: "This recording, or part of it, is the same footage as an earlier one[: “{job}”].[ {earlier}]",
		ZH: "该录像的全部或部分与先前的录像[“{job}”]是同一段画面。[{earlier}]",
	},
	pipeline.SameContent: {
		EN: "The same place and content were recorded before[ (“{job}”)]; it could not be told whether this is the same recording.[ The picture itself, not just the place, seems to have been handed in before: {agree} of its points lie where they did.][ {earlier}][ {still}]",
		ZH: "此前有过相同地点和内容的录像[（“{job}”）]，无法判断两者是否为同一次拍摄。[不仅地点相同，画面本身似乎此前已提交过：{agree} 的特征点位置一致。][{earlier}][{still}]",
	},
	pipeline.HistoryIncomplete: {
		EN: "This recording was not compared with all earlier ones.[ Of these, {missing} could not be read.][ All of its pictures that can be looked up ({flooded}) are like so much earlier footage that none of it was looked up; if they show a background, it can be marked.]",
		ZH: "该录像未与全部先前的录像比对。[其中 {missing} 段无法读取。][其可供查找的全部画面（{flooded} 个）均与大量先前的画面相似，因此未据此查找；如其显示的是背景，可将其标记。]",
	},
	pipeline.NoSpeech: {
		EN: "Nobody is heard speaking[: {seconds} seconds of speech, where {wanted} are asked for].",
		ZH: "没有听到有人说话[：说话时长为 {seconds} 秒，要求为 {wanted} 秒]。",
	},
	pipeline.VoiceWithoutLips: {
		EN: "A voice is heard, but the mouth of the person in view keeps still. Somebody else may be speaking, or the sound may be of another recording.",
		ZH: "听到说话声，但画面中人的嘴部没有动。可能是旁人在说话，也可能是声音来自另一段录音。",
	},
	pipeline.WordsNotSaid: {
		EN: "The words that were asked for were not heard.",
		ZH: "没有听到要求说的话。",
	},
	pipeline.ChallengeFailed: {
		EN: "The task that was set for this recording was not fulfilled[: {task}][: {problem}].",
		ZH: "本次录制要求完成的动作没有完成[：{task}][：{problem}]。",
	},
	pipeline.ChallengeMissing: {
		EN: "This kind of upload needs a task that is set right before it is recorded, and it answers none.",
		ZH: "此类提交须在录制前领取任务并在录制中完成，而本次提交没有对应的任务。",
	},
	pipeline.InjectedStream: {
		EN: "The file was not written by a camera, but by other software[: “{program}”].",
		ZH: "该文件不是由相机直接生成，而是由其他软件生成[：“{program}”]。",
	},
	pipeline.StreamAltered: {
		EN: "The recording shows traces of having been altered after it was made[: {signs}].",
		ZH: "该录像有拍摄后被改动的痕迹[：{signs}]。",
	},
	pipeline.ClockSkew: {
		EN: "The times do not agree[: {what}, {apart} apart].",
		ZH: "时间不一致[：{what}，相差 {apart}]。",
	},
	pipeline.OutsideGeofence: {
		EN: "The reported position lies outside the site[, {distance} away from it].",
		ZH: "上报的位置在该地点范围之外[，相距 {distance}]。",
	},
	pipeline.LocationInexact: {
		EN: "The reported position is too inexact[ (within {accuracy})] to say whether it lies at the site.",
		ZH: "上报的位置不够精确[（误差约 {accuracy}）]，无法判断是否在该地点。",
	},
	pipeline.LocationMissing: {
		EN: "The upload does not say where it was made.",
		ZH: "提交内容没有说明拍摄位置。",
	},
	pipeline.LocationConflict: {
		EN: "The position stored in the file is not the reported one[: they lie {distance} apart].",
		ZH: "文件中保存的位置与上报的位置不符[：两者相距 {distance}]。",
	},
	pipeline.BeaconMissing: {
		EN: "None of the beacons or Wi-Fi stations of the site was in range.",
		ZH: "未检测到该地点的任何信标或 Wi-Fi。",
	},
	pipeline.MockLocation: {
		EN: "The device reports that its position is set by an app instead of being measured.",
		ZH: "设备报告其位置由应用模拟，而非实际测得。",
	},
	pipeline.ImpossibleTravel: {
		EN: "The reported positions lie too far apart for the time between them[: {distance} in {time} since the earlier upload].",
		ZH: "上报的位置之间相距过远，不可能在该时间内到达[：距上一次提交 {time}，相距 {distance}]。",
	},
	pipeline.ManyPlaces: {
		EN: "Uploads came from many places far apart within a few days[: {places} places in {days} days].",
		ZH: "数天内的提交来自多个相距很远的地方[：{days} 天内 {places} 处]。",
	},
	pipeline.OddHour: {
		EN: "The upload was made at an hour[ ({hour})] at which this person has not uploaded before.",
		ZH: "提交时间[（{hour}）]不在该员工以往的提交时段内。",
	},
	pipeline.SharedDevice: {
		EN: "The same device was used for the upload of another person[ ({others})].",
		ZH: "同一设备也曾用于其他人员[（{others} 人）]的提交。",
	},
	pipeline.CheckFailed: {
		EN: "The check[ “{check}”] could not be completed for a technical reason. This says nothing about the person.",
		ZH: "[“{check}”]这项检查因技术原因未能完成，这不代表该员工有任何问题。",
	},
	pipeline.NotCheckedWanted: {
		EN: "The check[ “{check}”] is required but could not be made[: {why}]. This counts neither for nor against the person.",
		ZH: "[“{check}”]这项检查是必需的，但未能进行[：{why}]。这既不作为合格，也不作为不合格。",
	},
}

// doubtTexts are for findings that their check itself holds to be uncertain, where codeTexts would claim too much.
var doubtTexts = map[pipeline.Code]pipeline.Text{
	pipeline.InjectedStream: {
		EN: "The file seems to have passed through other software before it was handed in[: “{program}”]. Saving or sending a recording can do that, too.",
		ZH: "该文件在提交前似乎经过其他软件处理[：“{program}”]。保存或转发录像也可能造成这种情况。",
	},
	pipeline.StreamAltered: {
		EN: "The recording may have been altered after it was made[: {signs}].",
		ZH: "该录像可能在拍摄后被改动[：{signs}]。",
	},
	pipeline.ClockSkew: {
		EN: "The times may not agree[: {what}, {apart} apart].",
		ZH: "时间可能不一致[：{what}，相差 {apart}]。",
	},
	pipeline.OutsideGeofence: {
		EN: "The reported position may lie outside the site[, {distance} away from it].",
		ZH: "上报的位置可能在该地点范围之外[，相距 {distance}]。",
	},
	pipeline.LocationConflict: {
		EN: "The position stored in the file may not be the reported one[: they lie {distance} apart].",
		ZH: "文件中保存的位置与上报的位置可能不符[：两者相距 {distance}]。",
	},
	pipeline.BeaconMissing: {
		EN: "None of the beacons or Wi-Fi stations of the site was reported.",
		ZH: "没有上报该地点的任何信标或 Wi-Fi。",
	},
	pipeline.ImpossibleTravel: {
		EN: "The reported positions lie far apart for the time between them[: {distance} in {time} since the earlier upload].",
		ZH: "上报的位置之间相距较远，而间隔时间很短[：距上一次提交 {time}，相距 {distance}]。",
	},
	pipeline.FaceChanged: {
		EN: "The person in front of the camera may have changed during the recording[, between {from} and {to}].",
		ZH: "录像过程中[（{from} 至 {to} 之间）]镜头前可能换了人。",
	},
	pipeline.StaticImage: {
		EN: "The video may show a still picture: hardly anything in it moves[ for {seconds} seconds].",
		ZH: "该视频可能是静止画面[，{seconds} 秒内]几乎没有任何运动。",
	},
	pipeline.FrozenPart: {
		EN: "The picture seems to stand still for a while in a recording that moves otherwise[: from {from} to {to} s].",
		ZH: "录像其余部分有运动，但有一段画面疑似静止[：{from} 至 {to} 秒]。",
	},
	pipeline.ReplayedWithinClip: {
		EN: "Part of the recording may be played again[: what is seen from {from} to {to} s seems to return later].",
		ZH: "录像中可能有一段被重复播放[（{from} 至 {to} 秒的内容之后似乎再次出现）]。",
	},
	pipeline.LogoMissing: {
		EN: "It could not be told whether the logo[ “{name}”] of the site is in view.",
		ZH: "无法判断画面中是否有该地点的标志[“{name}”]。",
	},
	pipeline.DeskMissing: {
		EN: "It could not be told whether the desk area[ “{name}”] of the site is in view.",
		ZH: "无法判断画面中是否有该地点登记的工位[“{name}”]。",
	},
	pipeline.StorefrontMismatch: {
		EN: "It could not be told whether the storefront[ “{name}”] of the site is in view.",
		ZH: "无法判断画面中是否有该地点的门头[“{name}”]。",
	},
	pipeline.PosterMissing: {
		EN: "It could not be told whether the poster[ “{name}”] that hangs at the site now is in view.",
		ZH: "无法判断画面中是否有该地点当前应张贴的海报[“{name}”]。",
	},
	pipeline.SignNotRead: {
		EN: "The name of the site[ (“{wanted}”)] could not be read for sure on a sign in view[; what was read: “{read}”].",
		ZH: "无法确定画面中的招牌上是否有该地点的名称[（“{wanted}”）][；读到的文字为“{read}”]。",
	},
	pipeline.NoSpeech: {
		EN: "It could not be told whether somebody speaks long enough[: {seconds} seconds are certain, {wanted} are asked for].",
		ZH: "无法判断说话时长是否足够[：可以确定的为 {seconds} 秒，要求为 {wanted} 秒]。",
	},
	pipeline.VoiceWithoutLips: {
		EN: "It could not be told whether the person in view is the one who speaks.",
		ZH: "无法判断说话的是否为画面中的人。",
	},
	pipeline.WordsNotSaid: {
		EN: "It could not be told whether the words that were asked for were said.",
		ZH: "无法判断是否说了要求说的话。",
	},
	pipeline.ChallengeFailed: {
		EN: "It could not be told whether the task that was set for this recording was fulfilled[: {task}][: {problem}].",
		ZH: "无法判断本次录制要求完成的动作是否完成[：{task}][：{problem}]。",
	},
	pipeline.EnvironmentMismatch: {
		EN: "The surroundings may be those of another place[: “{name}”][; the name “{read}” was read][; they look more like {place}], and nothing of the site was found. A person must judge.",
		ZH: "周围环境可能属于另一地点[：“{name}”][，读到名称“{read}”][，看起来更像{place}]，且没有找到该地点的任何特征，须由人工判断。",
	},
	pipeline.PosterOutdated: {
		EN: "The poster[ “{name}”] in view may not be one that hangs at the site now[; it is valid from {from}][; it was valid until {until}][; the date on it was read as “{read}”][; it belongs to {elsewhere}].",
		ZH: "画面中的海报[“{name}”]可能不是该地点当前应张贴的海报[，其有效期自 {from} 起][，其有效期至 {until}][，读到的日期为“{read}”][，它属于 {elsewhere}]。",
	},
	pipeline.PosterDiffers: {
		EN: "The poster in view has the design of the enrolled one[ “{name}”], but its content may be another one[: {differ} of {tiles} parts differ].",
		ZH: "画面中的海报与登记的海报[“{name}”]版式相同，但内容可能不同[：{tiles} 个部分中有 {differ} 个不一致]。",
	},
	pipeline.CabinetMissing: {
		EN: "It could not be told whether the cabinet[ “{name}”] of the site is in view.",
		ZH: "无法判断画面中是否有该地点登记的文件柜[“{name}”]。",
	},
	pipeline.RoomMissing: {
		EN: "It could not be told whether the room in view is that of the site.",
		ZH: "无法判断画面中是否为该地点的房间。",
	},
	pipeline.ScreenMissing: {
		EN: "It could not be told whether a computer screen is in view.",
		ZH: "无法判断画面中是否有电脑屏幕。",
	},
	pipeline.PersonMissing: {
		EN: "It could not be told whether a person is in view.",
		ZH: "无法判断画面中是否有人。",
	},
}

// findingText gives the words of a finding: softer ones where it is only a doubt.
func findingText(check pipeline.CheckName, f pipeline.Finding) pipeline.Text {
	if f.Code == pipeline.NotCheckedWanted || f.Code == pipeline.CheckFailed { // of a part of the check: one wanted element
		what := CheckTitle(check)
		if e, ok := elementTexts[f.Args["element"]]; ok {
			what = e
		}
		args := map[string]pipeline.Text{"check": what}
		if w := f.Args["why"]; w != "" {
			args["why"] = Why(w)
		}
		return say(codeTexts[f.Code], args)
	}
	if f.Outcome != pipeline.Fail {
		if t, ok := photoDoubts[f.Code]; ok && f.Args[ofMedia] == photo {
			return say(t, bilingual(f.Args))
		}
		if t, ok := doubtTexts[f.Code]; ok {
			return say(t, bilingual(f.Args))
		}
	}
	return ReasonText(f.Code, f.Args)
}

// ReasonText gives the words of a code, filled with a finding's arguments. An unknown code shows itself, so that nothing is hidden.
func ReasonText(code pipeline.Code, args map[string]string) pipeline.Text {
	t, ok := codeTexts[code]
	if own, has := photoTexts[code]; has && args[ofMedia] == photo {
		t = own
	}
	if !ok {
		return pipeline.Text{EN: "Finding “" + string(code) + "”.", ZH: "发现“" + string(code) + "”。"}
	}
	return say(t, bilingual(args))
}

// BareText gives the words of a verdict's reason without anything that its check found: the texts of the reason's code, unfilled. They stay
// as strong as they were, and of the media that they were of: a doubt stays one.
func BareText(r pipeline.Reason) pipeline.Text {
	said := func(t pipeline.Text) bool {
		return t != (pipeline.Text{}) && !slices.ContainsFunc(filledPart.Split(t.EN, -1), func(part string) bool { return !strings.Contains(r.Text.EN, part) })
	}
	f := pipeline.Finding{Code: r.Code, Outcome: pipeline.Uncertain}
	switch {
	case said(codeTexts[r.Code]):
		f.Outcome = pipeline.Fail
	case said(photoTexts[r.Code]):
		f.Outcome, f.Args = pipeline.Fail, map[string]string{ofMedia: photo}
	case said(photoDoubts[r.Code]):
		f.Args = map[string]string{ofMedia: photo}
	}
	return findingText(r.Check, f)
}

// filledPart is what a finding fills, or drops, in a text.
var filledPart = regexp.MustCompile(`\[[^\]]*\]|\{[^}]*\}`)

// lackTexts say what a clip has too little of, the codes of {lacking}.
var lackTexts = map[string]pipeline.Text{
	"small":        {EN: "the face is too small in the picture", ZH: "画面中的人脸过小"},
	"dark":         {EN: "the face is too dark", ZH: "人脸过暗"},
	"few":          {EN: "too few pictures show the face well", ZH: "清楚显示人脸的画面太少"},
	"surroundings": {EN: "the face fills the picture, and nothing around it can be judged", ZH: "人脸占满画面，无法判断周围的情况"},
	"single_frame": {EN: "a single picture is not enough", ZH: "单张画面不足以判断"},
	"noisy":        {EN: "the picture is very noisy", ZH: "画面噪点过多"},
	"colours":      {EN: "the light's colour makes the face look unlike one, and without it nothing is wrong", ZH: "光线的颜色使人脸看起来不自然，校正颜色后未见异常"},
	"unsure":       {EN: "the face looks neither clearly live nor clearly like a picture of one", ZH: "人脸看起来既不能确定是真人，也不能确定是翻拍"},
	"accord":       {EN: "something, such as a face that hardly moves, may come from a recorded picture, but too little speaks for that", ZH: "存在个别可疑之处（例如面部几乎不动），可能来自翻拍画面，但依据不足"},
}

// earlierTexts say what is to be known of earlier footage, the codes of {earlier} and {still}.
var earlierTexts = map[string]pipeline.Text{
	"other_subject": {EN: "The earlier one was handed in for another person.", ZH: "先前的内容是以另一人的名义提交的。"},
	"backdrop":      {EN: "What stands still behind the people looks the same in both: one fixed camera shows that, and so does one background picture.", ZH: "两者中人物身后静止的部分看起来相同：可能是同一固定机位，也可能是同一张背景图。"},
}

// problemTexts say what is the matter with a challenge, the codes of {problem}.
var problemTexts = map[string]pipeline.Text{
	"used":         {EN: "it was used for an earlier upload", ZH: "该任务已用于此前的提交"},
	"late":         {EN: "its time was over when the upload arrived", ZH: "上传完成时该任务已过期"},
	"unknown":      {EN: "no such task was set", ZH: "没有下达过该任务"},
	"foreign":      {EN: "it was set for somebody else", ZH: "该任务是为他人下达的"},
	"not_seen":     {EN: "it is not to be seen", ZH: "画面中没有看到"},
	"little_seen":  {EN: "the face is seen too little of the time", ZH: "人脸出现的时间过短"},
	"slight":       {EN: "what is seen is too slight", ZH: "动作幅度过小"},
	"other_side":   {EN: "the head turns to the other side", ZH: "头转向了另一侧"},
	"side_unknown": {EN: "the head turns to the other side, unless the camera mirrors the picture", ZH: "头转向了另一侧，除非摄像头的画面是镜像的"},
	"order":        {EN: "it was done, but not in the order of the tasks", ZH: "已完成，但顺序与要求不符"},
	"one_blink":    {EN: "the eyes close only once at a time", ZH: "只看到单次闭眼"},
	"no_voice":     {EN: "no voice is heard", ZH: "没有听到说话声"},
	"other_digits": {EN: "other digits are heard", ZH: "听到的数字与要求不符"},
	"near_digits":  {EN: "the digits are heard almost right", ZH: "听到的数字与要求略有出入"},
	"nothing_read": {EN: "the code could not be read", ZH: "未能读出验证码"},
	"more_moves":   {EN: "the head turns or nods more often than was asked", ZH: "转头或点头的次数多于要求"},
	"other_code":   {EN: "another code is shown", ZH: "出示的是另一个验证码"},
	"near_code":    {EN: "the code is read almost right", ZH: "读到的验证码与要求略有出入"},
}

// bilingual reads a finding's arguments: "why_en" and "why_zh" are {why} in the two languages, "from_ms" is {from} as a time in the clip,
// a known code of "lacking", "problem", "earlier" or "still" is its words, "task" the title of a kind of challenge, anything else is itself in both.
func bilingual(args map[string]string) map[string]pipeline.Text {
	both := make(map[string]pipeline.Text, len(args))
	for _, k := range sorted(args) {
		v := args[k]
		if name, ok := strings.CutSuffix(k, "_en"); ok {
			both[name] = pipeline.Text{EN: v, ZH: both[name].ZH}
		} else if name, ok := strings.CutSuffix(k, "_zh"); ok {
			both[name] = pipeline.Text{EN: both[name].EN, ZH: v}
		} else if name, ok := strings.CutSuffix(k, "_ms"); ok {
			both[name] = moment(v)
		} else if t, ok := lackTexts[v]; ok && k == "lacking" {
			both[k] = t
		} else if t, ok := problemTexts[v]; ok && k == "problem" {
			both[k] = t
		} else if t, ok := earlierTexts[v]; ok && (k == "earlier" || k == "still") {
			both[k] = t
		} else if k == "task" {
			both[k] = ChallengeTitle(pipeline.ChallengeKind(v))
		} else {
			both[k] = pipeline.Text{EN: v, ZH: v}
		}
	}
	return both
}

// moment writes milliseconds as a time in the clip: 0:04.5.
func moment(ms string) pipeline.Text {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || n < 0 {
		return pipeline.Text{EN: ms, ZH: ms}
	}
	tenths := n / 100
	t := fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
	return pipeline.Text{EN: t, ZH: t}
}

// say fills a text in both languages.
func say(t pipeline.Text, args map[string]pipeline.Text) pipeline.Text {
	en := func(name string) string { return args[name].EN }
	zh := func(name string) string { return args[name].ZH }
	return pipeline.Text{EN: expand(t.EN, en), ZH: expand(t.ZH, zh)}
}

// expand fills {names} in one pass, so that braces or brackets in a value stay as they are, and drops a [part] of which a name is empty.
func expand(template string, value func(name string) string) string {
	var out, part strings.Builder
	in, whole := false, true // inside a [part], which so far has all its names
	for rest := template; rest != ""; {
		to := &out
		if in {
			to = &part
		}
		i := strings.IndexAny(rest, "[]{")
		if i < 0 {
			to.WriteString(rest)
			break
		}
		to.WriteString(rest[:i])
		c := rest[i]
		rest = rest[i+1:]
		switch c {
		case '[':
			in, whole = true, true
			part.Reset()
		case ']':
			if whole {
				out.WriteString(part.String())
			}
			in = false
		case '{':
			name, after, _ := strings.Cut(rest, "}")
			rest = after
			v := value(name)
			whole = whole && v != ""
			to.WriteString(v)
		}
	}
	return out.String()
}
