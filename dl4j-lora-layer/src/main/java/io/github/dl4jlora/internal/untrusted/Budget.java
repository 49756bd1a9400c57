package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;

/** Steps that may be spent on a file before it counts as an attempt to keep the processor busy. */
public final class Budget {

    private long left;

    public Budget(long steps) {
        left = steps;
    }

    /**
     * @param what for the message
     * @throws AdapterFormatException if fewer steps are left
     */
    public void spend(long steps, String what) throws AdapterFormatException {
        left -= steps;
        if (left < 0) {
            throw new AdapterFormatException(what + " takes too long: no adapter of a real model needs so many steps");
        }
    }

    /** False if fewer steps are left. */
    boolean trySpend(long steps) {
        left -= steps;
        return left >= 0;
    }

    /** Text of which each reading of a character costs a step: some regular expressions take exponential time. */
    public CharSequence metered(CharSequence text) {
        return new Metered(text, this);
    }

    /** Thrown by metered text when nothing is left. */
    public static final class Spent extends RuntimeException {

        private static final long serialVersionUID = 1L;
    }

    private record Metered(CharSequence text, Budget budget) implements CharSequence {

        @Override
        public char charAt(int index) {
            if (!budget.trySpend(1)) {
                throw new Spent();
            }
            return text.charAt(index);
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public CharSequence subSequence(int from, int to) {
            return new Metered(text.subSequence(from, to), budget);
        }

        @Override
        public String toString() {
            return text.toString();
        }
    }
}
