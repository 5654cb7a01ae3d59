// Sound: mono 16 kHz float.
#include "decode.h"

#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <string.h>

enum { RATE = 16000, PART = 1 << 15 };

static int flush(const float *buf, int n, int out) { return n ? od_write(out, 6, buf, (uint32_t)n * 4, NULL, 0) : OD_OK; }

int od_sound(od_clip *c, int64_t start_us, int64_t max_samples, int out) {
  AVStream *st = c->fmt->streams[c->audio];
  const AVCodec *codec = avcodec_find_decoder(st->codecpar->codec_id);
  AVCodecContext *dec = codec ? avcodec_alloc_context3(codec) : NULL;
  AVFrame *f = av_frame_alloc();
  SwrContext *swr = NULL;
  AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
  float *buf = av_malloc(sizeof(float) * PART);
  int64_t total = 0;
  int err = OD_NO_DECODER, rate = 0, channels = 0, format = -1;
  if (!dec || !f || !buf) goto out;
  if ((err = avcodec_parameters_to_context(dec, st->codecpar)) < 0) goto out;
  dec->thread_count = 1;
  dec->pkt_timebase = st->time_base;
  if ((err = avcodec_open2(dec, codec, NULL)) < 0) goto out;
  for (int i = 0; i <= c->sound_count && total < max_samples; i++) {
    if (avcodec_send_packet(dec, i < c->sound_count ? c->sound[i] : NULL) < 0) continue;
    while (total < max_samples && avcodec_receive_frame(dec, f) >= 0) {
      if (f->sample_rate < 1000 || f->sample_rate > 384000 || f->ch_layout.nb_channels < 1) {
        av_frame_unref(f);
        continue;
      }
      if (!swr || rate != f->sample_rate || channels != f->ch_layout.nb_channels || format != f->format) {
        swr_free(&swr);
        err = swr_alloc_set_opts2(&swr, &mono, AV_SAMPLE_FMT_FLT, RATE, &f->ch_layout, f->format, f->sample_rate, 0, NULL);
        if (err < 0 || (err = swr_init(swr)) < 0) goto out;
        rate = f->sample_rate, channels = f->ch_layout.nb_channels, format = f->format;
      }
      if (total == 0 && f->pts != AV_NOPTS_VALUE) { // sound that starts later than the picture: silence in front
        int64_t late = (av_rescale_q(f->pts, st->time_base, AV_TIME_BASE_Q) - start_us) * RATE / 1000000;
        for (int64_t left = late; left > 0 && total < max_samples;) {
          int n = (int)(left < PART ? left : PART);
          if (n > max_samples - total) n = (int)(max_samples - total);
          memset(buf, 0, sizeof(float) * (size_t)n);
          if ((err = flush(buf, n, out))) goto out;
          total += n, left -= n;
        }
      }
      const uint8_t **in = (const uint8_t **)f->extended_data;
      int samples = f->nb_samples;
      for (;;) {
        uint8_t *dst = (uint8_t *)buf;
        int n = swr_convert(swr, &dst, PART, in, samples);
        if (n <= 0) break;
        if (n > max_samples - total) n = (int)(max_samples - total);
        if ((err = flush(buf, n, out))) goto out;
        total += n;
        in = NULL, samples = 0;
        if (n < PART) break;
      }
      av_frame_unref(f);
    }
  }
  err = OD_OK;
out:
  swr_free(&swr);
  avcodec_free_context(&dec);
  av_frame_free(&f);
  av_free(buf);
  return err;
}
