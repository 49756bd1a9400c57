package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.variant.Variant;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;
import java.util.Objects;
import java.util.Random;

/** What PiSSA and OLoRA take from W: A0 and B0, as a network's present base gives them. */
final class Starts {

    /** Relative, of products with A0 and B0. */
    private static final double ROUNDING = 1e-4;
    private static final double ROUNDING_OF_16_BITS = 1e-2;

    private Starts() {
    }

    /** Whether W is here only in fewer bits, and not all of it. */
    static boolean isRounded(AdaptedView.AdaptedMatrix matrix) {
        FrozenReference frozen = matrix.conf().getFrozen();
        return frozen != null && !frozen.errors().getOrDefault(matrix.parameter().key(), 0.0).equals(0.0);
    }

    /**
     * Whether a network's A0 and B0 are what W gives, up to rounding. A slim product tells, without a decomposition: PiSSA's are
     * A0ᵀ·W = s·A0ᵀ·A0·B0, OLoRA's W·B0ᵀ = A0·B0·B0ᵀ.
     */
    static boolean areOfW(AdaptedView view, AdaptedView.AdaptedMatrix matrix) {
        DataType type = matrix.a().dataType();
        boolean wide = type == DataType.FLOAT || type == DataType.DOUBLE;
        INDArray w = exact(w(view, matrix), wide);
        INDArray a = exact(Objects.requireNonNull(matrix.parts().get(Variant.START_A)), wide);
        INDArray b = exact(Objects.requireNonNull(matrix.parts().get(Variant.START_B)), wide);
        boolean pissa = matrix.settings().loraInit() == LoRAInit.PISSA;
        INDArray ofW = pissa ? a.transpose().mmul(w) : w.mmul(b.transpose());
        INDArray expected = pissa ? a.transpose().mmul(a).mmul(b).muli(matrix.settings().factor())
                : a.mmul(b.mmul(b.transpose()));
        return expected.subi(ofW).norm2Number().doubleValue()
                <= (wide ? ROUNDING : ROUNDING_OF_16_BITS) * ofW.norm2Number().doubleValue();
    }

    private static INDArray exact(INDArray values, boolean wide) {
        return wide ? values : values.castTo(DataType.FLOAT);
    }

    /**
     * What {@code LoRA.apply} would take from W, for an adapter that {@linkplain Delta#lacksStart lacks its start}.
     *
     * @param seed of a randomised decomposition
     * @return A0 and B0, by part
     */
    static Map<String, INDArray> ofW(Delta delta, AdaptedView view, AdaptedView.AdaptedMatrix matrix, long seed) {
        Kind kind = delta.kind();
        AdaptedParameter parameter = matrix.parameter();
        DataType type = matrix.a().dataType();
        INDArray a = Nd4j.create(type, new long[] {parameter.nIn(), delta.rank()}, 'f');
        INDArray b = Nd4j.create(type, new long[] {delta.rank(), parameter.nOut()}, 'f');
        kind.init().take(w(view, matrix), a, b, delta.factor(), kind.pissaIterations(), new Random(seed));
        return Map.of(Variant.START_A, a, Variant.START_B, b);
    }

    /** {@code [nIn, nOut]}, not to be written to. */
    private static INDArray w(AdaptedView view, AdaptedView.AdaptedMatrix matrix) {
        String key = matrix.parameter().key();
        return matrix.conf().matrices().form(key).viewOf(Objects.requireNonNull(view.baseTable(matrix.layer()).get(key)));
    }
}
