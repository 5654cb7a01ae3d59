package media

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media/wire"
)

// Refusal says that the media is not accepted, why, and what to do: the media's fault, not ours.
type Refusal struct {
	Rule  string // stable name, for programs
	Name  string // of the media, for people
	Value string // what was found, empty when the rule has no measure
	Limit string // what is allowed
	Text  pipeline.Text
}

// Error is one line: what, which limit, how to fix it.
func (r *Refusal) Error() string {
	if r.Name == "" {
		return r.Text.EN
	}
	return r.Name + ": " + r.Text.EN
}

// ErrUnreadable is what errors are of a path that cannot be opened or is no file; nothing is said about the media.
var ErrUnreadable = errors.New("cannot be read")

// ErrDecoder is what errors are that are neither the media's fault nor the caller's: the child is missing, of another version, or its walls
// cannot be built.
var ErrDecoder = errors.New("the decoder does not work")

// text is one refusal in two languages; {value} and {limit} are filled in.
type text struct{ en, zh string }

const (
	fixFormat   = " Send a video as MP4, MOV, WebM or MKV, or a photo as JPEG, PNG, WebP or HEIC."
	fixFormatZH = "请发送 MP4、MOV、WebM 或 MKV 视频，或 JPEG、PNG、WebP、HEIC 照片。"

	fixResend = " Send the original file again."
	fixZH     = "请重新发送原始文件。"
)

// texts holds the sentence of every rule.
var texts = map[string]text{
	"media_empty":         {"the file is empty (0 bytes)." + fixResend, "文件为空（0 字节）。" + fixZH},
	"too_many_bytes":      {"the file has {value}, the limit is {limit}. Record a shorter clip or choose a lower quality.", "文件大小为 {value}，上限为 {limit}。请录制更短的视频或降低画质。"},
	"media_unsupported":   {"{value} files are not accepted." + fixFormat, "不接受 {value} 文件。" + fixFormatZH},
	"media_unknown":       {"the file is neither a video nor a photo that is known here." + fixFormat, "该文件不是可识别的视频或照片。" + fixFormatZH},
	"media_playlist":      {"this is a playlist ({value}) that only points to other files. Send the video file itself.", "这是指向其他文件的播放列表（{value}）。请发送视频文件本身。"},
	"media_damaged":       {"the file is damaged: its headers or pictures cannot be read{value}." + fixResend, "文件已损坏：无法读取文件头或画面。" + fixZH},
	"media_truncated":     {"only a part of the file can be decoded{value}; it was cut off or changed on the way." + fixResend, "文件只有一部分可以解码{value}，可能在传输中被截断或改动。" + fixZH},
	"media_encrypted":     {"the media is encrypted and cannot be looked at. Send a file without copy protection.", "媒体已加密，无法查看。请发送没有版权保护的文件。"},
	"only_sound":          {"the file has sound but no pictures. Send a video or a photo.", "文件只有声音，没有画面。请发送视频或照片。"},
	"no_pictures":         {"the file has no pictures in it (a video of 0 seconds). Record it again.", "文件中没有画面（时长为 0 秒）。请重新录制。"},
	"codec_unsupported":   {"the video is coded as {value}, accepted are H.264, HEVC, VP8 and VP9. Record with the phone's camera app, or convert the video.", "视频编码为 {value}，只接受 H.264、HEVC、VP8 和 VP9。请使用手机相机录制，或转换视频格式。"},
	"video_too_large":     {"the video has {value} pixels, the limit is {limit} in either direction. Record in 4K or less.", "视频尺寸为 {value} 像素，上限为 {limit}（横竖均可）。请以 4K 或更低的分辨率录制。"},
	"too_many_pixels":     {"the photo has {value} pixels, the limit is {limit}. Take it at a lower resolution.", "照片尺寸为 {value} 像素，上限为 {limit}。请以较低的分辨率拍摄。"},
	"too_long":            {"the video is {value} long, the limit is {limit}. Record a shorter clip.", "视频时长为 {value}，上限为 {limit}。请录制更短的视频。"},
	"too_many_frames":     {"the video has more than {limit} frames. Record a shorter clip or at a lower frame rate.", "视频超过 {limit} 帧。请录制更短的视频或降低帧率。"},
	"too_many_streams":    {"the file has {value} streams, the limit is {limit}. Send the video as the camera recorded it.", "文件包含 {value} 个流，上限为 {limit}。请发送相机录制的原始视频。"},
	"too_much_memory":     {"decoding needs more than {limit} of memory. Send a smaller or shorter file.", "解码所需内存超过 {limit}。请发送更小或更短的文件。"},
	"too_much_processing": {"decoding took longer than {limit}. Send a shorter clip or a smaller photo.", "解码时间超过 {limit}。请发送更短的视频或更小的照片。"},
	"animated_photo":      {"the photo is an animation. Send a photo, or a video as MP4.", "照片是动画。请发送静态照片，或 MP4 视频。"},
	"decoder_crashed":     {"the decoder crashed on this file{value}; it is damaged or made to do harm." + fixResend, "解码器在处理此文件时崩溃；文件已损坏或含有恶意内容。" + fixZH},
}

// refuse makes the refusal of a rule.
func refuse(name, rule, value, limit string) *Refusal {
	t, ok := texts[rule]
	if !ok {
		return refuse(name, "media_damaged", "", "") // a rule that only a child out of control can name
	}
	fill := strings.NewReplacer("{value}", value, "{limit}", limit)
	fillZH := fill
	if value == "text" {
		fillZH = strings.NewReplacer(" {value} ", "文本")
	}
	return &Refusal{Rule: rule, Name: name, Value: value, Limit: limit, Text: pipeline.Text{EN: fill.Replace(t.en), ZH: fillZH.Replace(t.zh)}}
}

// fromChild turns the child's refusal into ours. Its values are numbers or short words; nothing else of it reaches a sentence.
func fromChild(name string, w *wire.Refusal, l Limits) *Refusal {
	value, limit := plain(w.Value), ""
	switch w.Rule {
	case "too_many_pixels":
		limit = fmt.Sprintf("%s MP / %d px", strconv.FormatFloat(float64(l.PhotoPixels)/1e6, 'f', -1, 64), l.PhotoLongSide)
	case "video_too_large":
		limit = fmt.Sprintf("%d x %d", l.VideoLong, l.VideoShort)
	case "too_long":
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			ms = 0
		}
		value, limit = length(time.Duration(ms)*time.Millisecond), length(l.Duration)
	case "too_many_frames":
		limit = strconv.Itoa(l.Packets)
	case "too_many_streams":
		limit = strconv.Itoa(l.Streams)
	case "too_much_memory":
		limit = amount(l.MemoryBytes)
	case "media_damaged", "media_truncated", "decoder_crashed":
		if value != "" {
			value = " (" + value + ")"
		}
	}
	return refuse(name, w.Rule, value, limit)
}

// plain keeps the printable ASCII of a word that the child gave, 80 signs at most.
func plain(s string) string { return line(s, 80) }

func line(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		if r >= ' ' && r < 0x7f && b.Len() < most {
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}

// length says a duration in words that both languages read: 3.5 s, 1 min 30 s, 10 h.
func length(d time.Duration) string {
	if d < 0 || d > 1000*time.Hour {
		return "> 1000 h"
	}
	if d < time.Minute {
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	}
	var parts []string
	for _, unit := range []struct {
		d    time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / unit.d; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, unit.name))
			d -= n * unit.d
		}
	}
	return strings.Join(parts, " ")
}

func amount(bytes int64) string {
	switch {
	case bytes >= 1<<30 && bytes%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", bytes>>30)
	case bytes >= 1_000_000:
		return strconv.FormatFloat(float64(bytes/100_000)/10, 'f', -1, 64) + " MB"
	case bytes >= 1000:
		return strconv.FormatFloat(float64(bytes/100)/10, 'f', -1, 64) + " kB"
	}
	return fmt.Sprintf("%d B", bytes)
}
