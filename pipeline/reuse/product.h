// For product.go.
void reuse_products(const float *a, int na, const float *b, int nb, int dim, float *out);
