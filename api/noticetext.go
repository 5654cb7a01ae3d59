package api

import (
	"strings"

	"onsite/pipeline"
)

// advice is what an employee reads about one reason: what was seen, without scores, names or other uploads, and what to do next. It
// accuses nobody: a finding is for a person to look at.
type advice struct{ what, next pipeline.Text }

var (
	nextAgain  = say("Take it again and submit that.", "请重新拍摄并提交。")
	nextLight  = say("Take it again in good light, with your whole face in view and nothing covering it.", "请在光线充足处重新拍摄，露出完整面部，不要遮挡。")
	nextAlone  = say("Take it again with nobody else in front of the camera.", "请重新拍摄，确保镜头前没有其他人。")
	nextLive   = say("Take it again yourself, facing the camera, and move a little: blink, turn your head.", "请本人面对镜头重新拍摄，并稍作动作：眨眼、转头。")
	nextPlace  = say("Take it again at the place of work, with its sign, desk or poster in view.", "请在工作地点重新拍摄，画面中应有招牌、工位或海报。")
	nextNew    = say("Take a new one now and submit that.", "请现在重新拍摄并提交。")
	nextErased = say("You need not do anything: your data was deleted here, and no upload of you is checked any more. Ask your employer if you think that this is a mistake.",
		"您无需任何操作：您的数据已在此删除，不会再检查您提交的任何内容。如认为有误，请联系您的单位。")
	nextFit = say("Submit a photo or video of the kind that is asked for, as said above. If yours is of that kind, tell your employer's contact for attendance: the rule may be wrong.",
		"请按上述要求提交所需类型的照片或视频。如果您提交的已符合要求，请联系单位的考勤负责人：规则设置可能有误。")
	nextTask     = say("Ask for a new task in the app, take the photo or video right away, and do what it says, facing the camera.", "请在应用中重新领取任务并立即拍摄，面对镜头完成要求的动作。")
	nextSpeak    = say("Record again in a quiet place, with your face in view and the microphone uncovered, and speak clearly.", "请在安静处重新录制：露出面部，不要遮挡麦克风，并清楚地说话。")
	nextLocation = say("Switch on exact location for the app, wait until it is found, and take it again at the place of work. If location cannot be had there, tell your employer's contact for attendance.",
		"请为应用开启精确定位，待定位完成后在工作地点重新拍摄。如该处无法定位，请告知单位的考勤负责人。")
	nextClock  = say("Let the device set its clock by itself, and take it again.", "请让设备自动校准时间，然后重新拍摄。")
	nextNobody = say("You need not do anything; a person will look at it.", "您无需任何操作，会有人工查看。")
)

// nextAfter says what to do after a refusal. Most are about the file, and another recording helps; where it would not, nobody is sent to
// make one.
func nextAfter(rule string) pipeline.Text {
	switch {
	case rule == ruleErased:
		return nextErased
	case rule == "media_kind", strings.HasPrefix(rule, "policy_"):
		return nextFit
	}
	return nextAgain
}

// ruleErased is the rule by which the store and the workers refuse the jobs of an erased subject.
const ruleErased = "subject_erased"

// advices has an entry for every reason that there is; a test sees to it.
var advices = map[pipeline.Code]advice{
	pipeline.FaceMismatch:        {say("The face in view could not be matched with your enrolled photos.", "画面中的人脸未能与您的登记照片匹配。"), nextLight},
	pipeline.FaceUncertain:       {say("It could not be confirmed that the face in view is yours.", "无法确认画面中的人脸是否为您本人。"), nextLight},
	pipeline.FaceLowQuality:      {say("Your face is not clear enough in the picture.", "画面中的人脸不够清晰。"), nextLight},
	pipeline.FaceChanged:         {say("It seems that the person in front of the camera changes during the recording.", "录像过程中镜头前似乎换了人。"), nextAlone},
	pipeline.NoFace:              {say("No face is visible.", "画面中没有出现人脸。"), nextLight},
	pipeline.SeveralPeople:       {say("Several people are in view.", "画面中有多人。"), nextAlone},
	pipeline.ChallengeFailed:     {say("It could not be confirmed that the task for this upload was fulfilled.", "未能确认本次提交要求的动作已完成。"), nextTask},
	pipeline.ChallengeMissing:    {say("The upload was made without the task that is asked for.", "本次提交没有按要求领取任务。"), nextTask},
	pipeline.NoSpeech:            {say("Nobody is heard speaking for long enough.", "没有听到足够时长的说话声。"), nextSpeak},
	pipeline.VoiceWithoutLips:    {say("It could not be confirmed that the voice in the recording is yours.", "未能确认录像中的说话声来自您本人。"), nextSpeak},
	pipeline.WordsNotSaid:        {say("The words that are asked for were not heard.", "没有听到要求说的话。"), nextSpeak},
	pipeline.SpoofSuspected:      {say("The system could not tell for sure that it sees a live person. This is an estimate that a person will judge.", "系统无法确定看到的是真人。这只是系统的估计，将由人工判断。"), nextLive},
	pipeline.LivenessUncertain:   {say("It could not be told whether a live person is in front of the camera.", "无法判断镜头前是否为真人。"), nextLive},
	pipeline.StaticImage:         {say("Hardly anything moves in the video.", "视频中几乎没有任何运动。"), nextLive},
	pipeline.ReplayedWithinClip:  {say("A part of the recording seems to be played again.", "录像中似乎有一段被重复播放。"), nextNew},
	pipeline.FrozenPart:          {say("The picture seems to stand still for a while.", "录像中有一段画面似乎静止不动。"), nextAgain},
	pipeline.LogoMissing:         {say("The logo of the place of work was not found in view.", "画面中没有找到工作地点的标志。"), nextPlace},
	pipeline.DeskMissing:         {say("The desk area of the place of work was not found in view.", "画面中没有找到工作地点的工位。"), nextPlace},
	pipeline.StorefrontMismatch:  {say("The storefront of the place of work was not recognised in view.", "画面中没有认出工作地点的门头。"), nextPlace},
	pipeline.PosterMissing:       {say("The poster of the place of work was not found in view.", "画面中没有找到工作地点的海报。"), nextPlace},
	pipeline.PosterDiffers:       {say("The poster in view has other content than the one that hangs there now.", "画面中海报的内容与当前应张贴的海报不同。"), nextPlace},
	pipeline.CabinetMissing:      {say("The cabinet of the place of work was not found in view.", "画面中没有找到工作地点的文件柜。"), nextPlace},
	pipeline.RoomMissing:         {say("The room of the place of work was not recognised in view.", "画面中没有认出工作地点的房间。"), nextPlace},
	pipeline.ScreenMissing:       {say("No computer screen was found in view.", "画面中没有找到电脑屏幕。"), nextPlace},
	pipeline.PersonMissing:       {say("No person was found in view.", "画面中没有找到人。"), nextPlace},
	pipeline.PosterOutdated:      {say("The poster in view is not the one that hangs there now.", "画面中的海报不是当前应张贴的海报。"), nextPlace},
	pipeline.SignNotRead:         {say("The name of the place of work was not read on a sign in view.", "没有在画面中的招牌上读到工作地点的名称。"), nextPlace},
	pipeline.EnvironmentMismatch: {say("The surroundings could not be matched with the place of work.", "周围环境未能与工作地点匹配。"), nextPlace},
	pipeline.FootageReused:       {say("This upload, or a part of it, seems to have been submitted before.", "本次提交的内容全部或部分似乎此前已提交过。"), nextNew},
	pipeline.SameContent:         {say("The same content was submitted before; it could not be told whether it was taken anew.", "此前提交过相同的内容，无法判断是否为同一次拍摄。"), nextNew},
	pipeline.HistoryIncomplete:   {say("For a technical reason this upload was not compared with earlier ones. This says nothing about you.", "因技术原因，本次提交未与以前的内容比对。这不代表您有任何问题。"), nextNobody},
	pipeline.InjectedStream:      {say("The file names a program that edits or feeds pictures, where a camera should have made it.", "文件显示由录屏、编辑或虚拟摄像头类程序写入，而非直接由摄像头拍摄。"), nextNew},
	pipeline.StreamAltered:       {say("The file shows traces of cutting or of being saved again.", "文件有剪接或再次保存的痕迹。"), nextNew},
	pipeline.ClockSkew:           {say("The times of taking it, of the device and of the upload do not agree.", "拍摄时间、设备时间与上传时间不一致。"), nextClock},
	pipeline.OutsideGeofence:     {say("The reported position lies outside the place of work.", "上报的位置不在工作地点范围内。"), nextLocation},
	pipeline.LocationInexact:     {say("The reported position is too inexact to tell where the upload was made.", "上报的位置不够精确，无法判断拍摄地点。"), nextLocation},
	pipeline.LocationMissing:     {say("The upload says nothing of where it was made.", "上传内容没有说明拍摄地点。"), nextLocation},
	pipeline.LocationConflict:    {say("The position in the file is not the reported one.", "文件中的位置与上报的位置不一致。"), nextLocation},
	pipeline.BeaconMissing:       {say("No beacon or Wi-Fi station of the place of work was in range.", "未检测到工作地点的信标或 Wi-Fi。"), nextLocation},
	pipeline.MockLocation:        {say("The device says that an app sets its position.", "设备显示其位置由应用设定。"), nextLocation},
	pipeline.ImpossibleTravel:    {say("The last upload was made so far away that nobody gets here in that time.", "上一次上传的地点过远，在此时间内无法到达。"), nextNobody},
	pipeline.ManyPlaces:          {say("Uploads of the last days were made at places far from each other.", "最近几天的上传地点相距很远。"), nextNobody},
	pipeline.OddHour:             {say("The upload was made at an hour at which you usually make none.", "上传时间不在您平时上传的时段。"), nextNobody},
	pipeline.SharedDevice:        {say("The same device was used for another person, too.", "同一设备也用于其他人员。"), nextNobody},
	pipeline.CheckFailed:         {say("A check could not be completed for a technical reason. This says nothing about you.", "有一项检查因技术原因未能完成。这不代表您有任何问题。"), nextNobody},
	pipeline.NotCheckedWanted:    {say("A check that is required could not be made. This counts neither for nor against you.", "有一项必需的检查未能进行。这既不作为合格，也不作为不合格。"), nextNobody},
}

// otherAdvice is for a reason that a newer worker gave and this program does not know yet.
var otherAdvice = advice{say("Something in the upload needs a person to look at it.", "本次提交中有需要人工查看的内容。"), nextNobody}

// The words around the reasons.
var (
	noticeWaiting  = say("Your upload was received and is being checked.", "您的上传已收到，正在检查。")
	noticePass     = say("Your upload was checked; nothing needs your attention.", "您的上传已检查，没有需要您处理的事项。")
	noticeReview   = say("Your upload was checked by a program, and a person will look at it. Nothing has been decided about you.", "您的上传已由程序检查，将由人工查看。尚未对您作出任何决定。")
	noticeAbnormal = say("A program found something in your upload that does not fit, and a person must look at it. This finding has no consequence by itself.", "程序发现您的上传有不相符之处，须由人工查看。该结果本身不产生任何后果。")
	noticeAlike    = say("What this upload shows looks like very many earlier ones, so it was not compared with all of them. This says nothing about you.", "本次提交的画面与大量以前的画面相似，因此未逐一比对。这不代表您有任何问题。")
	noticeRefused  = say("Your upload could not be used.", "您的上传无法使用。")
	noticeDead     = say("Your upload was received but could not be checked for a technical reason. This says nothing about you; an administrator was told.", "您的上传已收到，但因技术原因未能完成检查。这不代表您有任何问题，管理员会收到通知。")
	noticeAppeal   = say("If you think that this is wrong, tell your employer's contact for attendance and give the number of this upload. A person will look at it again.", "如果您认为有误，请联系单位的考勤负责人，并提供本次上传的编号。会有人工重新查看。")
)
