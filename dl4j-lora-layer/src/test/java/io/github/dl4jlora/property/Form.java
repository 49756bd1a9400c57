package io.github.dl4jlora.property;

/** A number read digit by digit, each of them a choice: all details of a layer in one value that shrinks towards 0. */
final class Form {

    /** Enough for every layer to choose all of its details. */
    static final int LARGEST = 99_999;

    private int left;

    Form(int number) {
        this.left = number;
    }

    /** One of these; the first if the number is used up. */
    @SafeVarargs
    final <T> T of(T... choices) {
        int digit = left % choices.length;
        left /= choices.length;
        return choices[digit];
    }

    boolean yes() {
        return of(false, true);
    }
}
