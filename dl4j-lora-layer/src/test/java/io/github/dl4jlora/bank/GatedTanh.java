package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.content.ContentAccess;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** tanh that can be held up, counts the rows of each call, and cannot compute some values. */
public final class GatedTanh extends ActivationTanH {

    private static final long serialVersionUID = 1L;
    /** Inputs from here on are too large to be computed. */
    static final float TOO_LARGE = 1e6f;

    private static final List<Long> ROWS = new CopyOnWriteArrayList<>();
    private static volatile Gate gate;

    /** Who computes next stands still at the gate that is returned. */
    static Gate hold() {
        Gate next = new Gate();
        gate = next;
        return next;
    }

    /** Nobody stands still, and nothing has been counted. */
    static void reset() {
        Gate present = gate;
        gate = null;
        if (present != null) {
            present.open();
        }
        ROWS.clear();
    }

    /** Of each call, in order. */
    static List<Long> rows() {
        return ROWS;
    }

    @Override
    public INDArray getActivation(INDArray in, boolean training) {
        ROWS.add(in.size(0));
        Gate present = gate;
        if (present != null) {
            present.pass();
        }
        if (in.maxNumber().doubleValue() > TOO_LARGE) {
            throw new IllegalStateException("too large");
        }
        if (in.minNumber().doubleValue() < -TOO_LARGE) {
            throw new AssertionError("too small");
        }
        return super.getActivation(in, training);
    }

    /** fc → out. */
    static MultiLayerNetwork network() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                .layer(new DenseLayer.Builder().name("fc").nIn(Networks.IN).nOut(5).activation(new GatedTanh()).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).activation(Activation.IDENTITY).build())
                .build());
    }

    /** As if trained. */
    static LoRAAdapter adapter(MultiLayerNetwork base, long seed) {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(1 + (int) (seed % 3)).build());
        Networks.randomizeAdapters(tuned.paramTable(), 100 * seed);
        return LoRAAdapter.of(tuned);
    }

    /** Its bytes in a bank. */
    static long bytes(LoRAAdapter adapter) {
        return ContentAccess.of(adapter).deltas().values().stream()
                .mapToLong(delta -> delta.a().length() + delta.b().length()).sum() * Float.BYTES;
    }

    static INDArray input(long seed, int rows) {
        return Networks.random(DataType.FLOAT, seed, rows, Networks.IN);
    }

    /** What a network of its own answers. */
    static INDArray answer(MultiLayerNetwork base, LoRAAdapter adapter, INDArray input) {
        return (adapter == null ? base : LoRA.apply(base, adapter)).output(input);
    }
}
