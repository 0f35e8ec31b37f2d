// Coefficients of Winograd F(m x m, 3 x 3) for points 0, +-p_1 .. +-p_k, infinity, with k = m / 2.
//
// Toom and Cook's construction (Lavin and Gray 2016): with P(x) = x prod (x^2 - p_l^2), a point q has the row
// P(x) / (x - q) of B^T, the row (1, q, q^2) / P'(q) of G and the column (1, q, .., q^(m-1)) of A^T. Points
// in pairs of opposite sign share the even and the odd half of everything.
#pragma once

namespace ups::cpu {

template <int M>
struct WinogradPoints;

// Of all such points these gave the smallest rms error of a convolution in f32 (docs/kernels.md, "Error").
template <>
struct WinogradPoints<6> {
  static constexpr double p[3] = {0.5, 1, 1.75};
};
template <>
struct WinogradPoints<8> {
  static constexpr double p[4] = {0.4, 0.77, 1.19, 2.2};
};

template <int M>
struct WinogradCoefficients {
  static constexpr int kPairs = M / 2, kN = M + 2;
  float point[kPairs] = {};
  float r[kPairs][kPairs] = {};  // prod over l != k of (x^2 - p_l^2), by powers of x^2; the last is 1
  float all[kPairs + 1] = {};    // prod over all pairs, divided by its constant term
  float g[kPairs][3] = {};       // G at p_k: (1, p, p^2) / P'(p)
  float g_inf = 0;               // G at infinity is (0, 0, g_inf); at 0 it is (1, 0, 0)
  float a[kPairs][M] = {};       // A^T: powers of p_k

  constexpr WinogradCoefficients() {
    constexpr const double* p = WinogradPoints<M>::p;
    double whole[kPairs + 1] = {1};
    for (int l = 0; l < kPairs; l++) multiply(whole, l + 1, p[l] * p[l]);
    for (int i = 0; i <= kPairs; i++) all[i] = float(whole[i] / whole[0]);
    g_inf = float(whole[0]);
    for (int k = 0; k < kPairs; k++) {
      double part[kPairs + 1] = {1}, slope = 2 * p[k] * p[k];
      for (int l = 0, degree = 1; l < kPairs; l++) {
        if (l == k) continue;
        multiply(part, degree++, p[l] * p[l]);
        slope *= p[k] * p[k] - p[l] * p[l];
      }
      for (int i = 0; i < kPairs; i++) r[k][i] = float(part[i]);
      point[k] = float(p[k]);
      double power = 1;
      for (int i = 0; i < M; i++, power *= p[k]) {
        a[k][i] = float(power);
        if (i < 3) g[k][i] = float(power / slope);
      }
    }
  }

 private:
  // poly of degree - 1 in x^2, lowest first, times (x^2 - square).
  static constexpr void multiply(double* poly, int degree, double square) {
    for (int i = degree; i >= 0; i--)
      poly[i] = (i > 0 ? poly[i - 1] : 0) - (i < degree ? square * poly[i] : 0);
  }
};

}  // namespace ups::cpu
