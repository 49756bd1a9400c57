package io.github.dl4jlora.internal.recurrent;

import org.deeplearning4j.nn.conf.layers.AbstractLSTM;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.jspecify.annotations.Nullable;

/**
 * What a stock layer computes.
 *
 * @param isSimple     whether it is a SimpleRnn; otherwise an LSTM
 * @param hasPeepholes whether it is a GravesLSTM
 * @param f            its activation
 * @param g            of its gates; for a SimpleRnn its activation, too
 */
record RecurrentForm(boolean isSimple, boolean hasPeepholes, int units, Curve f, Curve g) {

    /**
     * The form of a layer; null for one that kernels do not compute. By exact types: a user's subclass may compute something
     * other than what it inherits.
     */
    static @Nullable RecurrentForm of(Layer layer) {
        boolean isSimple = layer.getClass() == SimpleRnn.class && !((SimpleRnn) layer).hasLayerNorm();
        boolean hasPeepholes = layer.getClass() == GravesLSTM.class;
        if (!isSimple && !hasPeepholes && layer.getClass() != LSTM.class) {
            return null;
        }
        BaseRecurrentLayer recurrent = (BaseRecurrentLayer) layer;
        Curve f = Curve.of(recurrent.getActivationFn());
        Curve g = isSimple ? f : Curve.of(((AbstractLSTM) layer).getGateActivationFn());
        return f == null || g == null ? null
                : new RecurrentForm(isSimple, hasPeepholes, Math.toIntExact(recurrent.getNOut()), f, g);
    }
}
