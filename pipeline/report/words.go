package report

import (
	"strings"

	"onsite/pipeline"
)

// words are the page's own labels; what a verdict says comes from package policy.
var words = map[string]pipeline.Text{
	"report":         {EN: "Verification report", ZH: "核验报告"},
	"trial":          {EN: "A photo tried on a site", ZH: "地点参考图片试用"},
	"trial_hint":     {EN: "What every reference and every name of the site makes of this photo. Nothing was stored.", ZH: "该地点的每张参考图片和每个名称对此照片的判断。未保存任何内容。"},
	"trial_marks":    {EN: "Solid frames mark references that were found, by their numbers; dashed ones near misses, or what should not be here.", ZH: "实线框为找到的参考图片（按编号），虚线框为接近匹配或不应出现的内容。"},
	"trial_refs":     {EN: "References", ZH: "参考图片"},
	"language":       {EN: "Language", ZH: "语言"},
	"note":           {EN: "Note", ZH: "说明"},
	"reasons":        {EN: "Reasons", ZH: "原因"},
	"no_reasons":     {EN: "Nothing was found that speaks against this upload.", ZH: "没有发现不利于本次提交的情况。"},
	"checks":         {EN: "Checks", ZH: "检查项"},
	"check":          {EN: "Check", ZH: "检查"},
	"result":         {EN: "Result", ZH: "结果"},
	"unasked":        {EN: "Not asked for by the policy: ", ZH: "策略不要求："},
	"limit":          {EN: "limit", ZH: "界限"},
	"score":          {EN: "Score", ZH: "得分"},
	"frames":         {EN: "Pictures looked at", ZH: "查看的画面数"},
	"elsewhere":      {EN: "another finding decides", ZH: "由其他发现决定"},
	"near":           {EN: "Close to the limit", ZH: "接近界限"},
	"near_why":       {EN: "The score is so close to the limit that another machine could decide otherwise.", ZH: "得分非常接近界限，换一台机器可能得出不同结果。"},
	"keyframes":      {EN: "Pictures from the recording", ZH: "录像画面"},
	"keyframes_hint": {EN: "Solid frames mark what fits, dashed ones what does not. Click a picture to enlarge it.", ZH: "实线框表示相符，虚线框表示不符。点击画面可放大。"},
	"photo":          {EN: "The photo", ZH: "照片"},
	"enrolled":       {EN: "Enrolled photos", ZH: "登记照片"},
	"shown":          {EN: "Shown here", ZH: "本次画面"},
	"enrolled_one":   {EN: "Enrolled", ZH: "登记照片"},
	"matched":        {EN: "Matched earlier footage", ZH: "匹配到的历史画面"},
	"this_upload":    {EN: "This upload", ZH: "本次提交"},
	"earlier":        {EN: "Earlier footage", ZH: "历史画面"},
	"unshown":        {EN: "picture not shown", ZH: "画面未展示"},
	"gone":           {EN: "picture no longer available", ZH: "画面已不可用"},
	"corresponds":    {EN: "corresponds to", ZH: "对应"},
	"same_content":   {EN: "The same content", ZH: "相同的内容"},
	"place":          {EN: "The place", ZH: "地点"},
	"where":          {EN: "Reported position", ZH: "上报的位置"},
	"north":          {EN: "N", ZH: "北"},
	"fence":          {EN: "the site", ZH: "该地点范围"},
	"reference":      {EN: "Reference", ZH: "参考图"},
	"in_view":        {EN: "In this upload", ZH: "本次提交"},
	"not_seen":       {EN: "not found in view", ZH: "画面中未找到"},
	"wanted_names":   {EN: "Name to read", ZH: "应读到的名称"},
	"read":           {EN: "Read", ZH: "读到"},
	"nothing_read":   {EN: "nothing", ZH: "无"},
	"timeline":       {EN: "Timeline", ZH: "时间轴"},
	"tl_pictures":    {EN: "Pictures", ZH: "画面"},
	"tl_people":      {EN: "People", ZH: "人物"},
	"tl_findings":    {EN: "Findings", ZH: "发现"},
	"tl_motion":      {EN: "Movement", ZH: "运动量"},
	"details":        {EN: "Details", ZH: "详细信息"},
	"media":          {EN: "Media", ZH: "媒体"},
	"file":           {EN: "File", ZH: "文件"},
	"format":         {EN: "Format", ZH: "格式"},
	"subject":        {EN: "Person", ZH: "人员"},
	"site":           {EN: "Site", ZH: "地点"},
	"job":            {EN: "Job", ZH: "任务"},
	"tenant":         {EN: "Company", ZH: "企业"},
	"created":        {EN: "Made", ZH: "生成时间"},
	"revision":       {EN: "Revision", ZH: "版本"},
	"policy":         {EN: "Policy", ZH: "策略"},
	"recipe":         {EN: "Recipe", ZH: "配方"},
	"program":        {EN: "Program", ZH: "程序"},
	"models":         {EN: "Models", ZH: "模型"},
	"task":           {EN: "Task", ZH: "任务"},
	"model":          {EN: "Model", ZH: "模型"},
	"runtime":        {EN: "Computed with", ZH: "运行环境"},
	"provider":       {EN: "Computed on", ZH: "计算设备"},
	"processor":      {EN: "Processor", ZH: "处理器"},
	"sha":            {EN: "SHA-256", ZH: "SHA-256"},
	"onnxruntime":    {EN: "ONNX Runtime", ZH: "ONNX Runtime"},
	"opencv":         {EN: "OpenCV", ZH: "OpenCV"},
	"libav":          {EN: "Decoder libraries", ZH: "解码库"},
	"sandbox":        {EN: "Walls around the decoder", ZH: "解码器隔离措施"},
	"inputs":         {EN: "Inputs", ZH: "输入"},
	"claim":          {EN: "Claim", ZH: "声明"},
	"enrolment_rev":  {EN: "Enrolment revision", ZH: "登记版本"},
	"site_rev":       {EN: "Site revision", ZH: "地点版本"},
	"history_as_of":  {EN: "History as of", ZH: "历史截至"},
	"marks_as_of":    {EN: "Marks as of", ZH: "标记截至"},
	"timings":        {EN: "Time per step", ZH: "各步骤用时"},
	"total":          {EN: "total", ZH: "总计"},
	"json":           {EN: "The verdict as JSON", ZH: "JSON 格式的结论"},
	"close":          {EN: "Back to the report", ZH: "返回报告"},
	"previous":       {EN: "Previous", ZH: "上一张"},
	"next":           {EN: "Next", ZH: "下一张"},
	"more":           {EN: "more", ZH: "更多"},
	"keyframe":       {EN: "Picture", ZH: "画面"},
	"finding_only": {
		EN: "This report states what was measured. It is a finding for people to judge and has no consequence by itself.",
		ZH: "本报告只陈述测量结果，供人工判断，本身不产生任何后果。",
	},
}

func word(key string) pipeline.Text {
	t, ok := words[key]
	if !ok {
		panic("report: the label " + key + " has no words") // a template names it; the tests render every section
	}
	return t
}

var labelTexts = map[string]pipeline.Text{
	"face":       {EN: "face", ZH: "人脸"},
	"other_face": {EN: "another person", ZH: "其他人"},
	"logo":       {EN: "logo", ZH: "标志"},
	"storefront": {EN: "storefront", ZH: "门头"},
	"poster":     {EN: "poster", ZH: "海报"},
	"desk":       {EN: "desk", ZH: "工位"},
	"sign":       {EN: "sign", ZH: "招牌"},
	"cabinet":    {EN: "cabinet", ZH: "文件柜"},
	"room":       {EN: "room", ZH: "房间"},
	"screen":     {EN: "screen", ZH: "屏幕"},
	"person":     {EN: "person", ZH: "人员"},
	"elsewhere":  {EN: "another place", ZH: "另一地点"},
	"outline":    {EN: "outline", ZH: "边框"},
	"voice":      {EN: "voice", ZH: "人声"},
	"challenge":  {EN: "task", ZH: "动作任务"},

	pipeline.LabelBefore: {EN: "nearest kept picture before it", ZH: "此前最近的留存画面"},
	pipeline.LabelBehind: {EN: "nearest kept picture after it", ZH: "此后最近的留存画面"},
	pipeline.LabelShown:  {EN: "shown here", ZH: "此处出现"},
	pipeline.LabelAgain:  {EN: "nearest kept picture to its repeat", ZH: "最接近重复处的留存画面"},
	pipeline.LabelStands: {EN: "stands still", ZH: "画面静止"},
	pipeline.LabelStill:  {EN: "still the same", ZH: "仍是同一画面"},
}

// label gives the words of an evidence label; one that is not known shows itself.
func label(code string) pipeline.Text {
	if t, ok := labelTexts[code]; ok {
		return t
	}
	return same(clean(code))
}

var transformTexts = map[string]pipeline.Text{
	"mirrored": {EN: "mirrored", ZH: "左右镜像"},
	"cropped":  {EN: "cropped", ZH: "裁剪"},
	"padded":   {EN: "with a border", ZH: "加边框"},
	"reversed": {EN: "played backwards", ZH: "倒放"},
}

// transform says how a copy was changed, empty for not at all. Names joined by "+" are said in turn.
func transform(name string) pipeline.Text {
	if name == "" || name == "none" {
		return pipeline.Text{}
	}
	if a, b, ok := strings.Cut(name, "+"); ok {
		x, y := transform(a), transform(b)
		return pipeline.Text{EN: x.EN + ", " + y.EN, ZH: x.ZH + "，" + y.ZH}
	}
	if t, ok := transformTexts[name]; ok {
		return t
	}
	if angle, ok := strings.CutPrefix(name, "rotated_"); ok {
		angle = clean(angle)
		return pipeline.Text{EN: "turned by " + angle + "°", ZH: "旋转 " + angle + "°"}
	}
	return same(clean(name))
}

var stageTexts = map[string]pipeline.Text{
	"decode":       {EN: "decode", ZH: "解码"},
	"enroll":       {EN: "enrolled photos", ZH: "登记照片"},
	"face":         {EN: "person", ZH: "本人核对"},
	"liveness":     {EN: "live person", ZH: "真人在场"},
	"fingerprint":  {EN: "fingerprint", ZH: "画面指纹"},
	"reuse":        {EN: "new footage", ZH: "是否新拍摄"},
	"scene":        {EN: "place in view", ZH: "现场环境"},
	"authenticity": {EN: "authenticity", ZH: "画面真实性"},
	"place":        {EN: "location", ZH: "位置信息"},
	"speech":       {EN: "speech", ZH: "语音"},
	"challenge":    {EN: "task", ZH: "现场动作"},
	"pictures":     {EN: "pictures", ZH: "图片"},
}

// stages is the order in which times are shown; others follow by name.
var stages = []string{"decode", "enroll", "face", "liveness", "scene", "fingerprint", "reuse", "authenticity", "place", "speech", "challenge", "pictures"}

// StageTitle gives the words of a stage of the verification.
func StageTitle(name string) pipeline.Text { return stage(name) }

func stage(name string) pipeline.Text {
	if t, ok := stageTexts[name]; ok {
		return t
	}
	return same(clean(name))
}
