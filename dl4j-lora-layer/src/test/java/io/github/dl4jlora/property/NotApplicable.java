package io.github.dl4jlora.property;

/** A law says nothing about this network. */
final class NotApplicable extends RuntimeException {

    private static final long serialVersionUID = 1;

    NotApplicable(String why) {
        super(why);
    }

    static void unless(boolean applicable, String why) {
        if (!applicable) {
            throw new NotApplicable(why);
        }
    }
}
