package policy

import "onsite/pipeline"

// The reasons why a check was not made (pipeline.Check.Why of not_checked). Checks may give others; Why then shows them as they are.
const (
	WhyNotWanted   = "not_wanted"       // the policy does not ask for it
	WhyNoSite      = "no_site"          // no site, or one without references, to compare with
	WhyNoConsent   = "no_consent"       // no consent record: no face processing
	WhyNoHistory   = "no_history"       // no earlier footage was given
	WhyNoReference = "no_reference"     // no enrolled photo of the person, or none of the site
	WhyNoFace      = "no_face"          // no face to look at
	WhyLowQuality  = "low_quality"      // nothing in view good enough to judge
	WhyPhotoNoTime = "photo_no_time"    // a single photo has no motion
	WhyTooShort    = "too_short"        // the clip is too short for it
	WhyNoAudio     = "no_audio"         // no sound in the recording
	WhyNoSound     = "no_sound_consent" // no consent record that covers the sound
	WhyNoSpeech    = "no_transcriber"   // no speech model is installed
	WhyNoClaim     = "no_claim"         // nothing was claimed that could be compared
	WhyNoFence     = "no_fence"         // the site has no geofence, beacons or Wi-Fi stations
	WhyNotBuilt    = "not_in_this_version"
	WhyNoFrames    = "no_frames"       // no picture could be looked at
	WhyNoPoster    = "no_poster_valid" // none of the site's posters hangs at the time
	WhyBackground  = "no_background"   // the built-in pictures of other places belong to another scene model
	WhyMeasuring   = "measuring"       // the installation measures itself and runs no model

	// Why an element of the scene has its outcome.
	WhyNearly    = "nearly"
	WhyAngle     = "only_from_angles"
	WhyDetail    = "little_detail"
	WhyOutdated  = "outdated"
	WhyDiffers   = "other_content"
	WhyOver      = "date_over"
	WhyConfirmed = "few_points"
)

var whyTexts = map[string]pipeline.Text{
	WhyNotWanted:   {EN: "the policy does not ask for it", ZH: "策略不要求此项"},
	WhyNoSite:      {EN: "no site, or nothing enrolled for it", ZH: "没有地点，或该地点没有可比对的名称和图片"},
	WhyNoConsent:   {EN: "there is no consent to process the face", ZH: "没有处理人脸信息的同意记录"},
	WhyNoHistory:   {EN: "no earlier footage was given to compare with", ZH: "没有提供可比对的历史录像"},
	WhyNoReference: {EN: "nothing is enrolled to compare with", ZH: "没有登记可供比对的图片"},
	WhyNoFace:      {EN: "no face is visible", ZH: "画面中没有人脸"},
	WhyLowQuality:  {EN: "the picture is not good enough to judge", ZH: "画面质量不足以判断"},
	WhyPhotoNoTime: {EN: "a single photo has no movement to look at", ZH: "单张照片没有可供分析的动态"},
	WhyTooShort:    {EN: "the recording is too short", ZH: "录像时间过短"},
	WhyNoAudio:     {EN: "the recording has no sound", ZH: "录像没有声音"},
	WhyNoSound:     {EN: "there is no consent to listen to the sound", ZH: "没有分析声音的同意记录"},
	WhyNoSpeech:    {EN: "no speech model is installed that could tell what is said", ZH: "没有安装可识别说话内容的语音模型"},
	WhyNoFrames:    {EN: "there is no picture to look at", ZH: "没有可供查看的画面"},
	WhyNoPoster:    {EN: "none of the enrolled posters hangs at the site at that time", ZH: "当时没有处于有效期内的登记海报"},
	WhyBackground:  {EN: "another scene model is installed, and rooms are not calibrated for it", ZH: "已安装其他场景模型，尚未针对它进行房间校准"},
	WhyNotBuilt:    {EN: "this version of the program does not have it", ZH: "此版本程序尚不支持"},
	WhyMeasuring:   {EN: "this installation only measures itself and runs no model", ZH: "此安装仅用于自身性能测量，不运行任何模型"},
	WhyNoFence:     {EN: "the site has no geofence, beacons or Wi-Fi stations", ZH: "该地点没有设置地理围栏、信标或 Wi-Fi"},
	WhyNearly:      {EN: "something like it was seen, too little to claim it", ZH: "看到了相似的内容，但不足以认定"},
	WhyAngle:       {EN: "not found; from another side it may be missed", ZH: "没有找到；从其他角度可能无法识别"},
	WhyDetail:      {EN: "the picture is too blurred, dark or empty", ZH: "画面过于模糊、昏暗或空白"},
	WhyOutdated:    {EN: "it does not hang here at that time", ZH: "当时不应在此处张贴"},
	WhyDiffers:     {EN: "the same shape with other content", ZH: "形状相同但内容不同"},
	WhyOver:        {EN: "the date on it is over", ZH: "其上日期已过"},
	WhyConfirmed:   {EN: "few points match, and the picture between them agrees", ZH: "匹配点较少，但其间的画面一致"},
	WhyNoClaim:     {EN: "the upload makes no claim that could be compared", ZH: "提交内容中没有可比对的声明"},
}

// Why says why a check was not made. An unknown code, or an error's own text, is given as it is.
func Why(code string) pipeline.Text {
	if t, ok := whyTexts[code]; ok {
		return t
	}
	return pipeline.Text{EN: code, ZH: code}
}

// SceneElements lists what a policy may want to see, in the order in which results list them.
var SceneElements = []string{"sign", "logo", "storefront", "poster", "desk", "cabinet", "room", "screen", "person"}

// elementTexts name the things that a site should show.
var elementTexts = map[string]pipeline.Text{
	"logo":       {EN: "Logo", ZH: "标志"},
	"storefront": {EN: "Storefront", ZH: "门头"},
	"poster":     {EN: "Poster", ZH: "海报"},
	"desk":       {EN: "Desk area", ZH: "工位"},
	"sign":       {EN: "Sign", ZH: "招牌"},
	"cabinet":    {EN: "Cabinet", ZH: "文件柜"},
	"room":       {EN: "Room", ZH: "房间"},
	"screen":     {EN: "Screen", ZH: "屏幕"},
	"person":     {EN: "Person", ZH: "人员"},
	"lips":       {EN: "Lips and voice", ZH: "口型与声音"},
	"words":      {EN: "Words", ZH: "说话内容"},
	"challenge":  {EN: "Task", ZH: "任务"},
}

type checkWords struct {
	title, question pipeline.Text
	outcome         map[pipeline.Outcome]pipeline.Text
}

var checkTexts = map[pipeline.CheckName]checkWords{
	pipeline.CheckFace: {
		title:    pipeline.Text{EN: "Person", ZH: "本人核对"},
		question: pipeline.Text{EN: "Is this the enrolled person?", ZH: "是否为登记的员工本人？"},
		outcome: map[pipeline.Outcome]pipeline.Text{
			pipeline.Pass:      {EN: "The face matches the enrolled photos.", ZH: "人脸与登记照片一致。"},
			pipeline.Fail:      {EN: "The enrolled person was not confirmed.", ZH: "未能确认为登记的员工本人。"},
			pipeline.Uncertain: {EN: "The picture allows no clear answer about the person.", ZH: "从画面中无法明确判断是否为本人。"},
		},
	},
	pipeline.CheckLiveness: {
		title:    pipeline.Text{EN: "Live person", ZH: "真人在场"},
		question: pipeline.Text{EN: "Is a live person in front of the camera?", ZH: "镜头前是否为真人？"},
		outcome: map[pipeline.Outcome]pipeline.Text{
			pipeline.Pass:      {EN: "Nothing suggests a printed photo or a screen.", ZH: "没有发现打印照片或屏幕的迹象。"},
			pipeline.Fail:      {EN: "Signs of a printed photo or a screen were seen.", ZH: "发现打印照片或屏幕的迹象。"},
			pipeline.Uncertain: {EN: "It could not be told whether the person is live.", ZH: "无法判断是否为真人。"},
		},
	},
	pipeline.CheckScene: {
		title:    pipeline.Text{EN: "Place in view", ZH: "现场环境"},
		question: pipeline.Text{EN: "Is the site recognisable in the picture?", ZH: "画面中能否认出该地点？"},
		outcome: map[pipeline.Outcome]pipeline.Text{
			pipeline.Pass:      {EN: "What the site should show was found.", ZH: "找到了该地点应有的内容。"},
			pipeline.Fail:      {EN: "Not everything that the site should show was found as it should be.", ZH: "该地点应有的内容没有全部按要求出现。"},
			pipeline.Uncertain: {EN: "The site was recognised only in part.", ZH: "只能部分认出该地点。"},
		},
	},
	pipeline.CheckReuse: {
		title:    pipeline.Text{EN: "New footage", ZH: "是否新拍摄"},
		question: pipeline.Text{EN: "Was this footage used before?", ZH: "该画面以前是否使用过？"},
		outcome: map[pipeline.Outcome]pipeline.Text{
			pipeline.Pass:      {EN: "No earlier use of this footage was found.", ZH: "没有发现该画面以前使用过。"},
			pipeline.Fail:      {EN: "The same footage was used before.", ZH: "相同的画面以前使用过。"},
			pipeline.Uncertain: {EN: "It could not be told whether this footage was used before.", ZH: "无法判断该画面以前是否使用过。"},
		},
	},
	pipeline.CheckAuthenticity: {
		title:    pipeline.Text{EN: "Authenticity", ZH: "画面真实性"},
		question: pipeline.Text{EN: "Did a camera record it in one piece, and was it left as it was?", ZH: "是否由相机一次拍成且未经改动？"},
		outcome: map[pipeline.Outcome]pipeline.Text{
			pipeline.Pass:      {EN: "Nothing was found that speaks against it.", ZH: "没有发现否定画面真实、未经改动的迹象。"},
			pipeline.Fail:      {EN: "It shows a still picture as a video, repeats itself, or was written by other software than a camera.", ZH: "以静止画面充当视频、存在重复播放，或由相机以外的软件生成。"},
			pipeline.Uncertain: {EN: "It has traits that allow no clear answer.", ZH: "存在无法明确判断的特征。"},
		},
	},
	pipeline.CheckPlace: {
		title:    pipeline.Text{EN: "Location", ZH: "位置信息"},
		question: pipeline.Text{EN: "Does the reported position fit the site?", ZH: "上报的位置是否与该地点相符？"},
		outcome: map[pipeline.Outcome]pipeline.Text{
			pipeline.Pass:      {EN: "The reported position fits the site.", ZH: "上报的位置与该地点相符。"},
			pipeline.Fail:      {EN: "What was reported about the position does not hold.", ZH: "上报的位置信息不成立。"},
			pipeline.Uncertain: {EN: "What was reported allows no clear answer about the position.", ZH: "根据上报的信息无法明确判断位置。"},
		},
	},
	pipeline.CheckSpeech: {
		title:    pipeline.Text{EN: "Speech", ZH: "语音"},
		question: pipeline.Text{EN: "Is somebody speaking?", ZH: "是否有人说话？"},
		outcome: map[pipeline.Outcome]pipeline.Text{
			pipeline.Pass:      {EN: "Speech was heard.", ZH: "听到了说话声。"},
			pipeline.Fail:      {EN: "No speech was heard.", ZH: "没有听到说话声。"},
			pipeline.Uncertain: {EN: "It could not be told whether somebody speaks.", ZH: "无法判断是否有人说话。"},
		},
	},
}

// challengeTexts are what a person is asked to do; {text} is the digits or the code.
var challengeTexts = map[pipeline.ChallengeKind]struct{ title, ask pipeline.Text }{
	pipeline.TurnLeft: {
		title: pipeline.Text{EN: "turn the head to the left", ZH: "向左转头"},
		ask:   pipeline.Text{EN: "Turn your head to your left, then look at the camera again.", ZH: "请将头转向您的左侧，然后转回看镜头。"},
	},
	pipeline.TurnRight: {
		title: pipeline.Text{EN: "turn the head to the right", ZH: "向右转头"},
		ask:   pipeline.Text{EN: "Turn your head to your right, then look at the camera again.", ZH: "请将头转向您的右侧，然后转回看镜头。"},
	},
	pipeline.Nod: {
		title: pipeline.Text{EN: "nod the head", ZH: "点头"},
		ask:   pipeline.Text{EN: "Nod once, clearly: down and up again.", ZH: "请明显地点一次头：先低下，再抬起。"},
	},
	pipeline.BlinkTwice: {
		title: pipeline.Text{EN: "close the eyes twice", ZH: "闭眼两次"},
		ask:   pipeline.Text{EN: "Close your eyes twice within two seconds, each time for a moment.", ZH: "请在两秒内闭眼两次，每次稍作停留。"},
	},
	pipeline.SayDigits: {
		title: pipeline.Text{EN: "say the digits", ZH: "读出数字"},
		ask:   pipeline.Text{EN: "Say these digits one by one: {text}.", ZH: "请逐个读出以下数字：{text}。"},
	},
	pipeline.ShowCode: {
		title: pipeline.Text{EN: "show the code", ZH: "出示验证码"},
		ask:   pipeline.Text{EN: "Show this code to the camera for three seconds, large on a screen or written on paper: {text}.", ZH: "请将以下验证码以大字显示在屏幕上或写在纸上，并对准镜头三秒：{text}。"},
	},
}

// ChallengeTitle is a kind of challenge in a few words.
func ChallengeTitle(k pipeline.ChallengeKind) pipeline.Text {
	if w, ok := challengeTexts[k]; ok {
		return w.title
	}
	return pipeline.Text{EN: string(k), ZH: string(k)}
}

// ChallengeAsk is what a person is told to do; text is the digits or the code.
func ChallengeAsk(k pipeline.ChallengeKind, text string) pipeline.Text {
	return say(challengeTexts[k].ask, map[string]pipeline.Text{"text": {EN: text, ZH: text}})
}

// CheckTitle is a check's short name.
func CheckTitle(name pipeline.CheckName) pipeline.Text {
	if w, ok := checkTexts[name]; ok {
		return w.title
	}
	return pipeline.Text{EN: string(name), ZH: string(name)}
}

// CheckQuestion is the question that a check answers.
func CheckQuestion(name pipeline.CheckName) pipeline.Text { return checkTexts[name].question }

// CheckAnswer says a check's result in a sentence.
func CheckAnswer(name pipeline.CheckName, c pipeline.Check) pipeline.Text {
	switch c.Outcome {
	case pipeline.NotChecked:
		if c.Why == "" {
			return pipeline.Text{EN: "Not checked.", ZH: "未检查。"}
		}
		w := Why(c.Why)
		return pipeline.Text{EN: "Not checked: " + w.EN + ".", ZH: "未检查：" + w.ZH + "。"}
	case pipeline.Pass, pipeline.Fail, pipeline.Uncertain:
		return checkTexts[name].outcome[c.Outcome]
	default:
		return pipeline.Text{EN: "Not completed for a technical reason.", ZH: "因技术原因未能完成。"}
	}
}

var outcomeTexts = map[pipeline.Outcome]pipeline.Text{
	pipeline.Pass:       {EN: "Passed", ZH: "通过"},
	pipeline.Fail:       {EN: "Failed", ZH: "不通过"},
	pipeline.Uncertain:  {EN: "Uncertain", ZH: "不确定"},
	pipeline.NotChecked: {EN: "Not checked", ZH: "未检查"},
	pipeline.Error:      {EN: "Error", ZH: "出错"},
}

// sceneWords say by which means something was seen, how surely, and what a reference is worth.
var sceneWords = map[string]pipeline.Text{
	"reference": {EN: "reference", ZH: "参考图片"},
	"text":      {EN: "text", ZH: "文字"},
	"object":    {EN: "object", ZH: "物体检测"},
	"face":      {EN: "face", ZH: "人脸"},
	"room":      {EN: "room photos", ZH: "房间照片"},
	"head":      {EN: "general impression", ZH: "总体印象"},
	"high":      {EN: "high", ZH: "高"},
	"medium":    {EN: "medium", ZH: "中"},
	"low":       {EN: "low", ZH: "低"},
	"good":      {EN: "good", ZH: "良好"},
	"fair":      {EN: "fair", ZH: "一般"},
}

// SceneWord gives the words for a means, a certainty or a quality of the scene check; an unknown one shows itself.
func SceneWord(word string) pipeline.Text {
	if t, ok := sceneWords[word]; ok {
		return t
	}
	return pipeline.Text{EN: word, ZH: word}
}

// ElementTitle names a thing that a site should show; an unknown one shows itself.
func ElementTitle(element string) pipeline.Text {
	if t, ok := elementTexts[element]; ok {
		return t
	}
	return pipeline.Text{EN: element, ZH: element}
}

// OutcomeTitle is the word for an outcome.
func OutcomeTitle(o pipeline.Outcome) pipeline.Text {
	if t, ok := outcomeTexts[o]; ok {
		return t
	}
	return pipeline.Text{EN: string(o), ZH: string(o)}
}

type decisionWords struct{ title, meaning pipeline.Text }

var decisionTexts = map[pipeline.Decision]decisionWords{
	pipeline.DecisionPass: {
		title:   pipeline.Text{EN: "Pass", ZH: "通过"},
		meaning: pipeline.Text{EN: "Every check that the policy asks for was made, and none found anything.", ZH: "策略要求的各项检查均已完成，没有发现问题。"},
	},
	pipeline.DecisionReview: {
		title:   pipeline.Text{EN: "Review", ZH: "待复核"},
		meaning: pipeline.Text{EN: "The checks alone cannot decide this; a person should look at it.", ZH: "仅凭系统检查无法得出结论，需要人工查看。"},
	},
	pipeline.DecisionAbnormal: {
		title:   pipeline.Text{EN: "Abnormal", ZH: "异常"},
		meaning: pipeline.Text{EN: "Something does not fit. This is a finding for a person to look at; it has no consequence by itself.", ZH: "发现不相符的情况，须由人工查看；本结果本身不产生任何后果。"},
	},
}

// DecisionTitle is the word for a decision.
func DecisionTitle(d pipeline.Decision) pipeline.Text {
	if w, ok := decisionTexts[d]; ok {
		return w.title
	}
	return pipeline.Text{EN: string(d), ZH: string(d)}
}

// DecisionMeaning says in a sentence what a decision means and does not mean.
func DecisionMeaning(d pipeline.Decision) pipeline.Text { return decisionTexts[d].meaning }
