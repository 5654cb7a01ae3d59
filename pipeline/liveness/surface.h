// For surface.go.
#include <stdint.h>

// liveness_fill makes an n x n patch (3 bytes a pixel, blue first; n from 2 on) the complex input of one transform: the second difference of light, and of green
// against red and blue, under a Hann window. y and c are work space of n * n.
void liveness_fill(const uint8_t *bgr, int n, const double *hann, double *y, double *c, float *out);

// liveness_power adds the power of both spectra, which one transform of n x n complex numbers gives, for the rows that are asked for.
void liveness_power(const float *data, int n, int margin, double *light, double *colour);
