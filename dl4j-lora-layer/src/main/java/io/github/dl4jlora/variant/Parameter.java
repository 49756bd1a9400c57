package io.github.dl4jlora.variant;

/**
 * A matrix that an adapted layer has beside the frozen weights of its stock layer.
 *
 * <pre>{@code
 * Parameter b = new Parameter(Variant.B, 8, 256, Parameter.Role.WEIGHT);
 * System.out.println(b.length() + " values train");
 * }</pre>
 *
 * @param key     name in DL4J's parameter table; without an underscore, at which DL4J's updaters split
 * @param rows    of its shape
 * @param columns of its shape, stored in 'f' order
 * @param role    what becomes of it
 */
public record Parameter(String key, long rows, long columns, Role role) {

    /** What becomes of a parameter in training. */
    public enum Role {
        /** Trains as a weight: with the layer's regularization, constraints and weight noise. */
        WEIGHT,
        /** Trains as a bias: with the layer's bias updater and bias regularization. */
        BIAS,
        /** Trains, with neither regularization nor constraints: it does not start at zero. */
        MAGNITUDE,
        /** Does not train. */
        FROZEN
    }

    /** {@return the number of its values} */
    public long length() {
        return rows * columns;
    }

    /** {@return whether it trains} */
    public boolean isTrained() {
        return role != Role.FROZEN;
    }
}
