// Decoding what the plan says, each packet at most once, in one thread.
#include "decode.h"

#include <libavutil/mathematics.h>
#include <libavutil/motion_vector.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct run {
  const od_plan *plan;
  od_result *r;
  AVRational tb;
  struct SwsContext *sws, *sws_grey, *sws_burst;
  uint8_t *raw, *still, *grey, *turned, *before;
  int next_still, next_motion, next_burst, next_between, have_before;
  int64_t last_still, last_motion, last_grey, last_cut; // last_grey: of the track or beside it
} run;

// Processor time of this thread, microseconds.
static int64_t spent_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int to_bgr(run *s, struct SwsContext **sws, const AVFrame *f, uint8_t *dst, int w, int h) {
  int64_t before = spent_us();
  int err = od_to_bgr(sws, f, dst, w, h);
  s->r->convert_us += spent_us() - before;
  return err;
}

static int to_grey(run *s, const AVFrame *f, uint8_t *dst, int w, int h) {
  int64_t before = spent_us();
  int err = od_to_grey(&s->sws_grey, f, dst, w, h);
  s->r->convert_us += spent_us() - before;
  return err;
}

static int emit_still(run *s, const AVFrame *f, int64_t at, int cut) {
  const od_plan *p = s->plan;
  int turn = p->orientation, w = p->still_w, h = p->still_h;
  if (to_bgr(s, &s->sws, f, turn == 1 ? s->still : s->raw, w, h) < 0) {
    s->r->errors++;
    return OD_OK;
  }
  if (turn != 1) od_orient(s->raw, w, h, 3, turn, s->still);
  s->last_still = at;
  s->r->stills++;
  return od_write_frame(p->out, 4, at, turn >= 5 ? h : w, turn >= 5 ? w : h, cut != 0, s->still, 3);
}

// A colour picture of a burst, for what happens in a face within a second. It borrows the still's buffers.
static int emit_burst(run *s, const AVFrame *f, int64_t at) {
  const od_plan *p = s->plan;
  int turn = p->orientation, w = p->burst_w, h = p->burst_h;
  if (to_bgr(s, &s->sws_burst, f, turn == 1 ? s->still : s->raw, w, h) < 0) {
    s->r->errors++;
    return OD_OK;
  }
  if (turn != 1) od_orient(s->raw, w, h, 3, turn, s->still);
  return od_write_frame(p->out, 10, at, turn >= 5 ? h : w, turn >= 5 ? w : h, 0, s->still, 3);
}

// Whether the picture is another scene than the one before: most cells of the grey pictures changed a lot, and so did the histogram,
// which a moving camera or hand leaves alone. Numbers: see TestSceneChange in pipeline/media.
static int is_cut(const uint8_t *a, const uint8_t *b, int n) {
  int ha[16] = {0}, hb[16] = {0};
  int diff = 0, hist = 0;
  for (int i = 0; i < n; i++) diff += abs(a[i] - b[i]);
  if (diff <= n * 24) return 0;
  for (int i = 0; i < n; i++) ha[a[i] >> 4]++, hb[b[i] >> 4]++;
  for (int i = 0; i < 16; i++) hist += abs(ha[i] - hb[i]);
  return hist > n / 2;
}

// The shares of a picture that its coding took from earlier and from later pictures, 1/255 each, in bits 8 to 15 and 16 to 23 of a motion frame's
// flags; a block may take from both. 0: the decoder does not say.
static uint32_t taken_from(const AVFrame *f) {
  const AVFrameSideData *d = av_frame_get_side_data(f, AV_FRAME_DATA_MOTION_VECTORS);
  int64_t area[2] = {0, 0}, all = (int64_t)f->width * f->height;
  if (!d || all < 1) return 0;
  const AVMotionVector *v = (const AVMotionVector *)d->data;
  for (size_t i = 0; i < d->size / sizeof *v; i++) area[v[i].source > 0] += v[i].w * v[i].h;
  for (int i = 0; i < 2; i++) area[i] = FFMIN(255, (area[i] * 255 + all / 2) / all); // blocks at the edge reach beyond the picture
  return (uint32_t)(area[0] << 8 | area[1] << 16);
}

// Writes the grey picture that was made of f.
static int write_grey(run *s, const AVFrame *f, int64_t at, uint32_t flags) {
  const od_plan *p = s->plan;
  int turn = p->orientation, w = p->motion_w, h = p->motion_h;
  s->last_grey = at;
  if (turn != 1) od_orient(s->grey, w, h, 1, turn, s->turned);
  return od_write_frame(p->out, 5, at, turn >= 5 ? h : w, turn >= 5 ? w : h, taken_from(f) | flags, turn == 1 ? s->grey : s->turned, 1);
}

static int emit_motion(run *s, const AVFrame *f, int64_t at, int *cut) {
  int w = s->plan->motion_w, h = s->plan->motion_h;
  if (to_grey(s, f, s->grey, w, h) < 0) {
    s->r->errors++;
    return OD_OK;
  }
  *cut = s->have_before && at - s->last_motion < 500000 && is_cut(s->grey, s->before, w * h);
  memcpy(s->before, s->grey, (size_t)w * h);
  s->have_before = 1;
  s->last_motion = at;
  return write_grey(s, f, at, 0);
}

// A motion frame beside the track: nothing of what the track decides is asked of it.
static int emit_between(run *s, const AVFrame *f, int64_t at) {
  if (to_grey(s, f, s->grey, s->plan->motion_w, s->plan->motion_h) < 0) {
    s->r->errors++;
    return OD_OK;
  }
  return write_grey(s, f, at, 2);
}

static int on_frame(run *s, AVFrame *f) {
  const od_plan *p = s->plan;
  int64_t ts = f->pts != AV_NOPTS_VALUE ? f->pts : f->best_effort_timestamp;
  int err, cut = 0, still = 0;
  s->r->decoded++;
  if (f->decode_error_flags & (FF_DECODE_ERROR_INVALID_BITSTREAM | FF_DECODE_ERROR_CONCEALMENT_ACTIVE) || f->flags & AV_FRAME_FLAG_CORRUPT) s->r->concealed++;
  if (p->bare || ts == AV_NOPTS_VALUE) return OD_OK;
  int64_t at = av_rescale_q(ts, s->tb, AV_TIME_BASE_Q) - p->start_us;
  if (at < 0) return OD_OK;
  if (s->next_motion < p->motions && at >= p->motion[s->next_motion] && at > s->last_grey) {
    while (s->next_motion < p->motions && p->motion[s->next_motion] <= at) s->next_motion++;
    if ((err = emit_motion(s, f, at, &cut))) return err;
  }
  if (s->next_between < p->betweens && at >= p->between[s->next_between]) {
    while (s->next_between < p->betweens && p->between[s->next_between] <= at) s->next_between++;
    if (at > s->last_grey && (err = emit_between(s, f, at))) return err;
  }
  if (s->next_burst < p->bursts && at >= p->burst[s->next_burst]) {
    while (s->next_burst < p->bursts && p->burst[s->next_burst] <= at) s->next_burst++;
    if ((err = emit_burst(s, f, at))) return err;
  }
  if (s->next_still < p->stills && at >= p->still[s->next_still]) {
    while (s->next_still < p->stills && p->still[s->next_still] <= at) s->next_still++;
    still = 1;
  }
  if (cut && at - s->last_cut < 400000) cut = 0;
  if (cut) s->last_cut = at;
  if (at <= s->last_still || s->r->stills >= p->max_stills) return OD_OK;
  if (cut && !still && s->r->stills + p->stills - s->next_still >= p->max_stills) cut = 0;
  return still || cut ? emit_still(s, f, at, cut) : OD_OK;
}

static int receive(run *s, AVCodecContext *dec, AVFrame *f) {
  for (;;) {
    int err = avcodec_receive_frame(dec, f);
    if (err == AVERROR(EAGAIN) || err == AVERROR_EOF) return OD_OK;
    if (err < 0) {
      if (err == AVERROR(ENOMEM)) return OD_NO_MEMORY;
      s->r->errors++;
      return OD_OK;
    }
    err = on_frame(s, f);
    av_frame_unref(f);
    if (err) return err;
  }
}

static int send(run *s, AVCodecContext *dec, const AVPacket *pkt, AVFrame *f) {
  int err = avcodec_send_packet(dec, pkt);
  if (err == AVERROR(ENOMEM)) return OD_NO_MEMORY;
  if (err < 0 && err != AVERROR_EOF) s->r->errors++;
  return receive(s, dec, f);
}

int od_decode(od_clip *c, int64_t max_pixels, int reorder, const od_plan *plan, od_result *r) {
  AVStream *st = c->fmt->streams[c->video];
  const AVCodec *codec = avcodec_find_decoder(st->codecpar->codec_id);
  AVFrame *f = av_frame_alloc();
  run s = {.plan = plan, .r = r, .tb = st->time_base, .last_still = -1, .last_motion = -1, .last_grey = -1, .last_cut = -1000000};
  size_t still = (size_t)plan->still_w * plan->still_h * 3 + 64, burst = (size_t)plan->burst_w * plan->burst_h * 3 + 64, grey = (size_t)plan->motion_w * plan->motion_h + 64;
  int err = OD_NO_MEMORY, sent = 0;
  memset(r, 0, sizeof *r);
  if (still < burst) still = burst;
  s.raw = av_malloc(still), s.still = av_malloc(still);
  s.grey = av_malloc(grey), s.turned = av_malloc(grey), s.before = av_malloc(grey);
  if (!codec) {
    err = OD_NO_DECODER;
    goto out;
  }
  c->dec = avcodec_alloc_context3(codec);
  if (!c->dec || !f || !s.raw || !s.still || !s.grey || !s.turned || !s.before) goto out;
  if ((err = avcodec_parameters_to_context(c->dec, st->codecpar)) < 0) goto out;
  c->dec->pkt_timebase = st->time_base;
  c->dec->thread_count = 1;
  c->dec->max_pixels = max_pixels;
  c->dec->has_b_frames = reorder; // no probing by decoding: the packets' own times say how far pictures are reordered
  if (reorder > 0 && plan->motions > 0 && !plan->bare) c->dec->export_side_data |= AV_CODEC_EXPORT_DATA_MVS; // H.264 alone has it; a twentieth of decoding
  if ((err = avcodec_open2(c->dec, codec, NULL)) < 0) goto out;
  for (int i = 0; i < c->count; i++) {
    if (plan->action[i] == OD_SKIP) continue;
    if (plan->action[i] == OD_RESTART && sent) {
      if ((err = send(&s, c->dec, NULL, f))) goto out;
      avcodec_flush_buffers(c->dec);
    }
    sent++;
    r->sent++;
    c->dec->skip_loop_filter = plan->action[i] == OD_ROUGH ? AVDISCARD_ALL : AVDISCARD_DEFAULT;
    if ((err = send(&s, c->dec, c->av[i], f))) goto out;
  }
  if (!(err = send(&s, c->dec, NULL, f))) err = od_flush_frames(plan->out);
out:
  av_frame_free(&f);
  sws_freeContext(s.sws);
  sws_freeContext(s.sws_grey);
  sws_freeContext(s.sws_burst);
  av_free(s.raw), av_free(s.still), av_free(s.grey), av_free(s.turned), av_free(s.before);
  return err;
}
