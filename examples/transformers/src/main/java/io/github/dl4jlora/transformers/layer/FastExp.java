package io.github.dl4jlora.transformers.layer;

/**
 * exp(x) for x ≤ 0 in additions and multiplications only, so that HotSpot vectorises loops that call it:
 * {@code exp(x) = p(x/64)^64}, p the Taylor polynomial of degree 5.
 *
 * <p>Relative error below 4e-6 down to x = -10, 1e-4 down to -20. From -30 on it stays at 1e-13, so what must be exactly
 * zero has to be multiplied by zero.
 */
final class FastExp {

    private static final float LOWEST = -30;

    private FastExp() {
    }

    static float exp(float x) {
        float r = Math.max(x, LOWEST) * (1f / 64);
        float p = 1 + r * (1 + r * (1f / 2 + r * (1f / 6 + r * (1f / 24 + r * (1f / 120)))));
        float p2 = p * p;
        float p4 = p2 * p2;
        float p8 = p4 * p4;
        float p16 = p8 * p8;
        float p32 = p16 * p16;
        return p32 * p32;
    }
}
