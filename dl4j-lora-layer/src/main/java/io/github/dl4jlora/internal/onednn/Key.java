package io.github.dl4jlora.internal.onednn;

import java.util.Arrays;

/**
 * What a primitive is compiled for.
 *
 * @param kind    of primitive
 * @param numbers all sizes, strides and counts that it depends on, in an order of its kind
 */
record Key(Class<?> kind, long[] numbers) {

    @Override
    public boolean equals(Object other) {
        return other instanceof Key key && kind == key.kind && Arrays.equals(numbers, key.numbers);
    }

    @Override
    public int hashCode() {
        return 31 * kind.hashCode() + Arrays.hashCode(numbers);
    }

    @Override
    public String toString() {
        return kind.getSimpleName() + Arrays.toString(numbers);
    }
}
