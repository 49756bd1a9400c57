package io.github.dl4jlora.internal.blas;

/**
 * exp(x) for x ≤ 0 in additions and multiplications only, so that HotSpot vectorises loops that call it:
 * {@code exp(x) = exp(x/64)^64}, exp(x/64) the Taylor polynomial of degree 5.
 *
 * <p>Six squarings would make the rounding error of what they begin with 64 times as large, so the first four are of
 * q = exp - 1, which is small: {@code (1 + q)² = 1 + q · (2 + q)}.
 *
 * <p>Relative error below 5e-7 down to x = -1, 2e-6 down to -4, 1e-5 down to -10, 2e-4 down to -20. From -30 on it stays at
 * 1e-13, so what must be exactly zero has to be multiplied by zero.
 */
public final class FastExp {

    private static final float LOWEST = -30;

    private FastExp() {
    }

    /** e to the power of x, for x ≤ 0. */
    public static float exp(float x) {
        float r = Math.max(x, LOWEST) * (1f / 64);
        float q = r * (1 + r * (1f / 2 + r * (1f / 6 + r * (1f / 24 + r * (1f / 120)))));
        float q2 = q * (2 + q);
        float q4 = q2 * (2 + q2);
        float q8 = q4 * (2 + q4);
        float p16 = 1 + q8 * (2 + q8);
        float p32 = p16 * p16;
        return p32 * p32;
    }
}
