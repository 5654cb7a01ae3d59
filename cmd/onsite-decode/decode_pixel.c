// Pixels: conversion with the stream's own colour description, area scaling of luma, orientation, and the records on the pipe.
#include "decode.h"

#include <errno.h>
#include <libavutil/common.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

void od_fit(int w, int h, int max_side, int *ow, int *oh) {
  int side = w > h ? w : h;
  *ow = w, *oh = h;
  if (side <= max_side) return;
  *ow = (int)(((int64_t)w * max_side + side / 2) / side);
  *oh = (int)(((int64_t)h * max_side + side / 2) / side);
  if (*ow < 1) *ow = 1;
  if (*oh < 1) *oh = 1;
}

void od_orient(const uint8_t *src, int w, int h, int channels, int orientation, uint8_t *dst) {
  int turned = orientation >= 5, ow = turned ? h : w, oh = turned ? w : h;
  for (int y = 0; y < oh; y++) {
    for (int x = 0; x < ow; x++) {
      int sx = x, sy = y;
      switch (orientation) {
      case 2: sx = w - 1 - x; break;
      case 3: sx = w - 1 - x, sy = h - 1 - y; break;
      case 4: sy = h - 1 - y; break;
      case 5: sx = y, sy = x; break;
      case 6: sx = y, sy = h - 1 - x; break;
      case 7: sx = w - 1 - y, sy = h - 1 - x; break;
      case 8: sx = w - 1 - y, sy = x; break;
      }
      const uint8_t *p = src + ((size_t)sy * w + sx) * channels;
      uint8_t *q = dst + ((size_t)y * ow + x) * channels;
      q[0] = p[0];
      if (channels == 3) q[1] = p[1], q[2] = p[2];
    }
  }
}

// Which pixel formats carry full-range samples by their name.
static int full_range(const AVFrame *f) {
  switch (f->format) {
  case AV_PIX_FMT_YUVJ420P:
  case AV_PIX_FMT_YUVJ422P:
  case AV_PIX_FMT_YUVJ444P:
  case AV_PIX_FMT_YUVJ440P:
  case AV_PIX_FMT_YUVJ411P: return 1;
  }
  return f->color_range == AVCOL_RANGE_JPEG;
}

// The YUV matrix of a frame. Streams that name none: BT.709 from 720 lines on and BT.601 below, as players do; photos are BT.601 (JFIF).
static int matrix_of(const AVFrame *f) {
  switch (f->colorspace) {
  case AVCOL_SPC_BT709: return SWS_CS_ITU709;
  case AVCOL_SPC_BT470BG:
  case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
  case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
  case AVCOL_SPC_FCC: return SWS_CS_FCC;
  case AVCOL_SPC_BT2020_NCL:
  case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
  default: break;
  }
  int small = f->width < f->height ? f->width : f->height;
  return !full_range(f) && small >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
}

int od_to_bgr(struct SwsContext **sws, const AVFrame *f, uint8_t *dst, int w, int h) {
  int flags = w == f->width && h == f->height ? SWS_BILINEAR : SWS_AREA;
  uint8_t *planes[4] = {dst};
  int strides[4] = {3 * w};
  *sws = sws_getCachedContext(*sws, f->width, f->height, f->format, w, h, AV_PIX_FMT_BGR24, flags, NULL, NULL, NULL);
  if (!*sws) return AVERROR(EINVAL);
  sws_setColorspaceDetails(*sws, sws_getCoefficients(matrix_of(f)), full_range(f), sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
  int got = sws_scale(*sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, planes, strides);
  return got == h ? 0 : AVERROR(EINVAL);
}

// Formats without a plane of luma (planar RGB), and pictures that are smaller than the grid.
static int grey_by_sws(struct SwsContext **sws, const AVFrame *f, uint8_t *dst, int w, int h) {
  uint8_t *planes[4] = {dst};
  int strides[4] = {w};
  *sws = sws_getCachedContext(*sws, f->width, f->height, f->format, w, h, AV_PIX_FMT_GRAY8, SWS_AREA, NULL, NULL, NULL);
  if (!*sws) return AVERROR(EINVAL);
  sws_setColorspaceDetails(*sws, sws_getCoefficients(matrix_of(f)), full_range(f), sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
  return sws_scale(*sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, planes, strides) == h ? 0 : AVERROR(EINVAL);
}

// Adds rows of luma to column sums, four at a time: this loop touches every pixel of the motion track, so it must vectorize. 16 bits hold
// 257 rows of 255; a cell of the largest allowed clip has 26.
#if defined(__x86_64__)
__attribute__((target_clones("avx2", "default")))
#endif
static void add_rows8(const uint8_t *restrict p, ptrdiff_t stride, int rows, int width, uint16_t *restrict sum) {
  for (; rows >= 4; rows -= 4, p += 4 * stride) {
    const uint8_t *q = p + stride, *r = q + stride, *s = r + stride;
    for (int x = 0; x < width; x++) sum[x] = (uint16_t)(sum[x] + p[x] + q[x] + r[x] + s[x]);
  }
  for (; rows > 0; rows--, p += stride)
    for (int x = 0; x < width; x++) sum[x] = (uint16_t)(sum[x] + p[x]);
}

static void add_rows16(const uint8_t *p, ptrdiff_t stride, int rows, int width, int shift, uint16_t *restrict sum) {
  for (; rows > 0; rows--, p += stride) {
    const uint16_t *restrict q = (const uint16_t *)p;
    for (int x = 0; x < width; x++) sum[x] = (uint16_t)(sum[x] + (q[x] >> shift));
  }
}

// Adds eight columns to one, as a picture of 1280 pixels wants.
#if defined(__x86_64__)
__attribute__((target_clones("avx2", "default")))
#endif
static void add_columns8(const uint16_t *restrict sum, int w, uint32_t *restrict out) {
  for (int x = 0; x < w; x++, sum += 8) out[x] = (uint32_t)sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

static void add_columns(const uint16_t *restrict sum, int w, const int *edge, uint32_t *restrict out) {
  for (int x = 0; x < w; x++) {
    out[x] = 0;
    for (int sx = edge[x]; sx < edge[x + 1]; sx++) out[x] += sum[sx];
  }
}

// Mean luma of every cell of a w x h grid over the frame. Every source pixel counts once.
int od_to_grey(struct SwsContext **sws, const AVFrame *f, uint8_t *dst, int w, int h) {
  const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
  enum { WIDEST = 8192, MOTION_SIDE = 160 };
  if (!d) return AVERROR(EINVAL);
  int wide = d->comp[0].depth > 8, shift = d->comp[0].shift + d->comp[0].depth - 8;
  int flags = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BITSTREAM;
  if (d->flags & flags || d->comp[0].plane != 0 || d->comp[0].step != (wide ? 2 : 1) || shift < 0 || shift > 8 || w > MOTION_SIDE || w > f->width || h > f->height || f->width > WIDEST || f->height / h >= 256)
    return grey_by_sws(sws, f, dst, w, h);
  int W = f->width, edge[MOTION_SIDE + 1];
  uint8_t full[256]; // luma to 0..255
  for (int v = 0; v < 256; v++) full[v] = (uint8_t)(full_range(f) ? v : av_clip(((v - 16) * 255 + 109) / 219, 0, 255));
  for (int x = 0; x <= w; x++) edge[x] = (int)((int64_t)x * W / w);
  uint16_t sum[WIDEST];
  uint32_t total[MOTION_SIDE];
  for (int y = 0; y < h; y++) {
    int y0 = (int)((int64_t)y * f->height / h), rows = (int)((int64_t)(y + 1) * f->height / h) - y0, last = 0;
    const uint8_t *p = f->data[0] + (ptrdiff_t)y0 * f->linesize[0];
    uint64_t share = 0; // 2^32 over the number of pixels in a cell
    memset(sum, 0, sizeof *sum * (size_t)W);
    if (wide) add_rows16(p, f->linesize[0], rows, W, shift, sum);
    else add_rows8(p, f->linesize[0], rows, W, sum);
    if (W == 8 * w) add_columns8(sum, w, total);
    else add_columns(sum, w, edge, total);
    for (int x = 0; x < w; x++) {
      int n = edge[x + 1] - edge[x];
      if (n != last) last = n, share = (1ULL << 32) / (uint64_t)(n * rows) + 1;
      dst[(size_t)y * w + x] = full[(total[x] * share + (1ULL << 31)) >> 32 & 255];
    }
  }
  return 0;
}

int od_write(int fd, uint32_t kind, const void *head, uint32_t head_size, const void *body, uint32_t body_size) {
  uint32_t front[2] = {kind, head_size + body_size};
  struct iovec v[3] = {{front, sizeof front}, {(void *)head, head_size}, {(void *)body, body_size}};
  int at = 0;
  while (at < 3) {
    ssize_t n = writev(fd, v + at, 3 - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return OD_WRITE;
    while (at < 3 && (size_t)n >= v[at].iov_len) n -= (ssize_t)v[at++].iov_len;
    if (at < 3) v[at].iov_base = (char *)v[at].iov_base + n, v[at].iov_len -= (size_t)n;
  }
  return OD_OK;
}

// Small frames wait for each other: each write wakes the reader, which costs both processes more than the copy. Whoever writes anything else flushes
// before.
static uint8_t held[256 << 10];
static size_t holding;

int od_flush_frames(int fd) {
  for (size_t at = 0; at < holding;) {
    ssize_t n = write(fd, held + at, holding - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return OD_WRITE;
    at += (size_t)n;
  }
  holding = 0;
  return OD_OK;
}

int od_write_frame(int fd, uint32_t kind, int64_t pts_us, int w, int h, uint32_t flags, const uint8_t *pix, int channels) {
  struct {
    int64_t pts;
    uint32_t w, h, flags, zero;
  } head = {pts_us, (uint32_t)w, (uint32_t)h, flags, 0};
  size_t body = (size_t)w * h * channels;
  uint32_t front[2] = {kind, (uint32_t)(sizeof head + body)};
  int err = OD_OK;
  if (holding + sizeof front + sizeof head + body > sizeof held && (err = od_flush_frames(fd))) return err;
  if (sizeof front + sizeof head + body > sizeof held) return od_write(fd, kind, &head, sizeof head, pix, (uint32_t)body);
  memcpy(held + holding, front, sizeof front), holding += sizeof front;
  memcpy(held + holding, &head, sizeof head), holding += sizeof head;
  memcpy(held + holding, pix, body), holding += body;
  return OD_OK;
}
