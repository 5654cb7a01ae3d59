// Opening and demuxing: everything comes from one file descriptor, read with pread, and libav opens nothing else.
#include "decode.h"

#include <errno.h>
#include <libavutil/display.h>
#include <libavutil/avstring.h>
#include <libavutil/mathematics.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static int read_file(void *opaque, uint8_t *buf, int n) {
  od_clip *c = opaque;
  ssize_t got;
  if (c->pos >= c->size) return AVERROR_EOF;
  do got = pread(c->fd, buf, (size_t)n, (off_t)c->pos);
  while (got < 0 && errno == EINTR);
  if (got < 0) {
    c->read_error = errno;
    return AVERROR(EIO);
  }
  if (got == 0) {
    c->read_error = EIO;
    return AVERROR_EOF;
  }
  c->pos += got;
  return (int)got;
}

static int64_t seek_file(void *opaque, int64_t offset, int whence) {
  od_clip *c = opaque;
  switch (whence & ~AVSEEK_FORCE) {
  case AVSEEK_SIZE: return c->size;
  case SEEK_SET: break;
  case SEEK_CUR: offset += c->pos; break;
  case SEEK_END: offset += c->size; break;
  default: return AVERROR(EINVAL);
  }
  if (offset < 0) return AVERROR(EINVAL);
  return c->pos = offset;
}

// External references of a container are never followed.
static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags, AVDictionary **options) {
  (void)s, (void)pb, (void)url, (void)flags, (void)options;
  return AVERROR(EPERM);
}

void od_setup(void) { av_log_set_level(AV_LOG_QUIET); }

int od_open(od_clip *c, const char *format, int max_streams) {
  const AVInputFormat *in = av_find_input_format(format);
  AVDictionary *options = NULL;
  uint8_t *buf;
  int err;
  if (!in) return AVERROR_DEMUXER_NOT_FOUND;
  c->video = c->audio = -1;
  if (!(buf = av_malloc(1 << 16))) return AVERROR(ENOMEM);
  if (!(c->io = avio_alloc_context(buf, 1 << 16, 0, c, read_file, NULL, seek_file))) {
    av_free(buf);
    return AVERROR(ENOMEM);
  }
  if (!(c->fmt = avformat_alloc_context())) return AVERROR(ENOMEM);
  c->fmt->pb = c->io;
  c->fmt->io_open = refuse_open;
  c->fmt->max_streams = max_streams;
  c->fmt->flags |= AVFMT_FLAG_CUSTOM_IO;
  av_dict_set(&options, "protocol_whitelist", "", 0);
  av_dict_set(&options, "enable_drefs", "0", 0); // mov only
  err = avformat_open_input(&c->fmt, "", in, &options);
  av_dict_free(&options);
  return err;
}

// The orientation, 1..8 as in EXIF, that a display matrix asks for. The matrix maps (x, y) to (a x + c y, b x + d y), y down.
static int matrix_orientation(const int32_t *m) {
  double a = m[0], b = m[1], c = m[3], d = m[4];
  if (fabs(a) + fabs(d) >= fabs(b) + fabs(c)) {
    if (a >= 0) return d >= 0 ? 1 : 4;
    return d >= 0 ? 2 : 3;
  }
  if (b >= 0) return c >= 0 ? 5 : 6;
  return c >= 0 ? 8 : 7;
}

static int stream_encrypted(const AVStream *st) {
  uint32_t tag = st->codecpar->codec_tag;
  return tag == MKTAG('e', 'n', 'c', 'v') || tag == MKTAG('e', 'n', 'c', 'a') ||
         av_stream_get_side_data(st, AV_PKT_DATA_ENCRYPTION_INIT_INFO, NULL) != NULL;
}

int od_headers(od_clip *c, od_header *h) {
  int64_t best = -1;
  memset(h, 0, sizeof *h);
  h->streams = (int)c->fmt->nb_streams;
  h->orientation = 1;
  for (unsigned i = 0; i < c->fmt->nb_streams; i++) {
    AVStream *st = c->fmt->streams[i];
    AVCodecParameters *p = st->codecpar;
    int64_t area = (int64_t)p->width * p->height;
    st->discard = AVDISCARD_ALL;
    if (stream_encrypted(st)) h->encrypted = 1;
    if (p->codec_type == AVMEDIA_TYPE_VIDEO && !(st->disposition & AV_DISPOSITION_ATTACHED_PIC) && area > best) {
      best = area;
      c->video = (int)i;
    }
    if (p->codec_type == AVMEDIA_TYPE_AUDIO && c->audio < 0) c->audio = (int)i;
  }
  h->has_audio = c->audio >= 0;
  if (c->audio >= 0) {
    h->sound_known = avcodec_find_decoder(c->fmt->streams[c->audio]->codecpar->codec_id) != NULL;
    h->sound_rate = c->fmt->streams[c->audio]->codecpar->sample_rate;
    h->sound_channels = c->fmt->streams[c->audio]->codecpar->ch_layout.nb_channels;
  }
  h->duration_us = c->fmt->duration == AV_NOPTS_VALUE ? 0 : c->fmt->duration;
  if (c->video < 0) return OD_OK;
  AVStream *st = c->fmt->streams[c->video];
  AVRational sar = st->sample_aspect_ratio.num ? st->sample_aspect_ratio : st->codecpar->sample_aspect_ratio;
  int32_t *matrix = (int32_t *)av_stream_get_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, NULL);
  h->has_picture = 1;
  av_strlcpy(h->codec, avcodec_get_name(st->codecpar->codec_id), sizeof h->codec);
  h->width = st->codecpar->width;
  h->height = st->codecpar->height;
  h->range = st->codecpar->color_range;
  h->primaries = st->codecpar->color_primaries;
  h->transfer = st->codecpar->color_trc;
  h->matrix = st->codecpar->color_space;
  h->reorder = st->codecpar->video_delay;
  h->sar_num = sar.num;
  h->sar_den = sar.den;
  if (matrix) h->orientation = matrix_orientation(matrix);
  if (st->duration > 0 && st->duration != AV_NOPTS_VALUE) {
    int64_t us = av_rescale_q(st->duration, st->time_base, AV_TIME_BASE_Q);
    if (us > h->duration_us) h->duration_us = us;
  }
  return OD_OK;
}

int od_tag(od_clip *c, int i, const char **key, const char **value) {
  AVDictionaryEntry *e = NULL;
  int n = 0;
  while ((e = av_dict_get(c->fmt->metadata, "", e, AV_DICT_IGNORE_SUFFIX))) {
    if (n++ == i) {
      *key = e->key, *value = e->value;
      return 1;
    }
  }
  e = NULL;
  if (c->video < 0) return 0;
  while ((e = av_dict_get(c->fmt->streams[c->video]->metadata, "", e, AV_DICT_IGNORE_SUFFIX))) {
    if (n++ == i) {
      *key = e->key, *value = e->value;
      return 1;
    }
  }
  return 0;
}

static int append(AVPacket ***list, int *count, int *cap, const AVPacket *p) {
  if (*count == *cap) {
    int more = *cap ? *cap * 2 : 512;
    AVPacket **bigger = av_realloc_array(*list, (size_t)more, sizeof **list);
    if (!bigger) return OD_NO_MEMORY;
    *list = bigger, *cap = more;
  }
  AVPacket *copy = av_packet_alloc();
  if (!copy) return OD_NO_MEMORY;
  av_packet_move_ref(copy, (AVPacket *)p);
  (*list)[(*count)++] = copy;
  return OD_OK;
}

// How many bytes say a unit's length in this stream, 0 when the packets are not made of such units. Only H.264 (avcC) and HEVC (hvcC) are.
static int length_bytes(const AVCodecParameters *p) {
  if (p->codec_id == AV_CODEC_ID_H264 && p->extradata_size >= 7 && p->extradata[0] == 1) return (p->extradata[4] & 3) + 1;
  if (p->codec_id == AV_CODEC_ID_HEVC && p->extradata_size >= 23 && p->extradata[0] == 1) return (p->extradata[21] & 3) + 1;
  return 0;
}

// What the units of a packet say of its place among the others: whether no other picture refers to it, so that it can be left out without
// harm, and whether decoding may begin there as if nothing had been before. Codecs whose packets do not say so answer no. A droppable HEVC
// picture is one only among those of its layer; od_scan looks at the layers.
static void look(const AVCodecParameters *p, const AVPacket *pkt, od_packet *o) {
  int length = length_bytes(p), hevc = p->codec_id == AV_CODEC_ID_HEVC, slices = 0, droppable = 1, fresh = 1;
  o->droppable = o->fresh = o->layer = 0;
  if (!length) return;
  for (int at = 0; at + length < pkt->size;) {
    uint32_t n = 0;
    for (int i = 0; i < length; i++) n = n << 8 | pkt->data[at + i];
    at += length;
    if (n == 0 || n > (uint32_t)(pkt->size - at)) return;
    if (hevc) {
      int type = pkt->data[at] >> 1 & 63;
      if (type < 32 && n >= 2) {
        int layer = (pkt->data[at + 1] & 7) - 1;
        if (type > 14 || type & 1) droppable = 0; // *_R, or a picture to begin with; the even ones below are "sub-layer non-reference"
        if (type != 19 && type != 20) fresh = 0;  // IDR
        if (layer > o->layer) o->layer = (uint8_t)layer;
        slices++;
      }
    } else {
      int type = pkt->data[at] & 31;
      if (type >= 1 && type <= 5) {
        if (pkt->data[at] >> 5 & 3) droppable = 0; // nal_ref_idc
        if (type != 5) fresh = 0;                  // IDR
        slices++;
      }
    }
    at += (int)n;
  }
  o->droppable = (uint8_t)(slices > 0 && droppable && !o->key);
  o->fresh = (uint8_t)(slices > 0 && fresh && o->key);
}

int od_scan(od_clip *c, int max_packets, int want_sound) {
  AVPacket *pkt = av_packet_alloc();
  int err = OD_OK, total = 0, top = 0;
  int64_t last = 0;
  if (!pkt) return OD_NO_MEMORY;
  c->fmt->streams[c->video]->discard = AVDISCARD_DEFAULT;
  if (c->audio >= 0) c->fmt->streams[c->audio]->discard = AVDISCARD_DEFAULT;
  AVStream *st = c->fmt->streams[c->video];
  for (;;) {
    int got = av_read_frame(c->fmt, pkt);
    if (got == AVERROR_EOF) break;
    if (got == AVERROR(EAGAIN)) continue;
    if (got < 0) {
      err = got;
      break;
    }
    if (++total > 8 * max_packets) {
      err = OD_TOO_MANY_PACKETS;
      av_packet_unref(pkt);
      break;
    }
    if (pkt->pts != AV_NOPTS_VALUE) {
      int64_t end = av_rescale_q(pkt->pts + pkt->duration, c->fmt->streams[pkt->stream_index]->time_base, AV_TIME_BASE_Q);
      if (end > c->end_us) c->end_us = end;
    }
    if (pkt->stream_index == c->audio) {
      if (!want_sound) {
        av_packet_unref(pkt);
        continue;
      }
      if ((err = append(&c->sound, &c->sound_count, &c->sound_cap, pkt))) break;
      continue;
    }
    if (pkt->stream_index != c->video || pkt->size <= 0) {
      av_packet_unref(pkt);
      continue;
    }
    if (av_packet_get_side_data(pkt, AV_PKT_DATA_ENCRYPTION_INFO, NULL)) {
      err = OD_ENCRYPTED;
      break;
    }
    if (c->count >= max_packets) {
      err = OD_TOO_MANY_PACKETS;
      break;
    }
    if (!(c->count & (c->count - 1))) {
      od_packet *bigger = av_realloc_array(c->packets, (size_t)(c->count ? c->count * 2 : 1), sizeof *bigger);
      if (!bigger) {
        err = OD_NO_MEMORY;
        break;
      }
      c->packets = bigger;
    }
    int64_t ts = pkt->pts != AV_NOPTS_VALUE ? pkt->pts : pkt->dts;
    if (ts == AV_NOPTS_VALUE) ts = last + 1;
    last = ts;
    pkt->pts = ts;
    od_packet *o = &c->packets[c->count];
    o->pts_us = av_rescale_q(ts, st->time_base, AV_TIME_BASE_Q);
    o->bytes = pkt->size;
    o->key = (pkt->flags & AV_PKT_FLAG_KEY) != 0;
    o->hidden = (pkt->flags & AV_PKT_FLAG_DISCARD) != 0;
    o->corrupt = (pkt->flags & AV_PKT_FLAG_CORRUPT) != 0;
    look(st->codecpar, pkt, o);
    if (o->layer > top) top = o->layer;
    o->data = pkt->data;
    if ((err = append(&c->av, &c->count, &c->cap, pkt))) break;
  }
  for (int i = 0; i < c->count; i++) c->packets[i].droppable &= c->packets[i].layer == top; // upper layers may refer to lower ones
  av_packet_free(&pkt);
  return err;
}

void od_close(od_clip *c) {
  for (int i = 0; i < c->count; i++) av_packet_free(&c->av[i]);
  for (int i = 0; i < c->sound_count; i++) av_packet_free(&c->sound[i]);
  av_freep(&c->av);
  av_freep(&c->sound);
  av_freep(&c->packets);
  c->count = c->sound_count = 0;
  avcodec_free_context(&c->dec);
  avformat_close_input(&c->fmt);
  if (c->io) av_freep(&c->io->buffer);
  avio_context_free(&c->io);
}
