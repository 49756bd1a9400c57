package io.github.dl4jlora.property;

/** DL4J's own network cannot do, or does wrongly, what is asked, so that nothing can be asked of an adapted one. */
final class StockFails extends RuntimeException {

    private static final long serialVersionUID = 1;

    StockFails(String what, Throwable cause) {
        super(what, cause);
    }
}
