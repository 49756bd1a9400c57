package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * What a layer's adapter starts from: a function of its configuration, W and b, and a seed, the same on every machine.
 * So that part of it which never changes need not be written anywhere: whoever has W can compute it again.
 */
public final class AdapterStart {

    private AdapterStart() {
    }

    /**
     * Every parameter of {@link LoRADenseLayer#adapterParameters()} by key.
     *
     * @param stock the dense layer's own parameters
     */
    static Map<String, INDArray> of(LoRADenseLayer conf, Map<String, INDArray> stock, DataType type, long seed) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray a = Nd4j.create(type, new long[] {conf.getNIn(), conf.getRank()}, 'f');
            INDArray b = Nd4j.create(type, new long[] {conf.getRank(), conf.getNOut()}, 'f');
            Map<String, INDArray> start = new HashMap<>(Map.of(Variant.A, a, Variant.B, b));
            INDArray w = stock.get(DefaultParamInitializer.WEIGHT_KEY);
            Random random = new Random(seed);
            if (conf.getLoraInit().isTakenFromW()) {
                conf.getLoraInit().take(w, a, b, conf.factor(), conf.getPissaIterations(), random);
                start.put(Variant.START_A, a);
                start.put(Variant.START_B, b);
            } else {
                conf.getLoraInit().fill(a, b, random);
            }
            conf.getVariant().start(start, w, conf.factor());
            if (conf.isTrainBias()) {
                start.put(DefaultParamInitializer.BIAS_KEY, stock.get(DefaultParamInitializer.BIAS_KEY));
            }
            return start;
        }
    }

    /** The parameters that do not train, as one flat array named by its content; null where there are none. */
    static FrozenWeights constants(LoRADenseLayer conf, Map<String, INDArray> values) {
        List<Parameter> parameters = conf.adapterParameters(false);
        if (parameters.isEmpty()) {
            return null;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray flat = Nd4j.create(values.get(parameters.get(0).key()).dataType(), conf.constantParams());
            Map<String, INDArray> views = views(parameters, flat);
            views.forEach((key, view) -> view.assign(values.get(key)));
            return FrozenWeights.of(flat, views);
        }
    }

    /** Remembers what does not train outside the vector, and the seed from which it can be had again. */
    static void keepConstants(LoRADenseLayer conf, Map<String, INDArray> values, long seed) {
        FrozenWeights constants = constants(conf, values);
        if (constants != null) {
            conf.setConstants(FrozenReference.to(constants, null));
            conf.setStartSeed(seed);
        }
    }

    /** The parameters as views of a flat array, one after the other. */
    static Map<String, INDArray> views(List<Parameter> parameters, INDArray flat) {
        Map<String, INDArray> views = new LinkedHashMap<>();
        INDArray vector = flat.reshape(flat.length());
        long from = 0;
        for (Parameter parameter : parameters) {
            long to = from + parameter.length();
            views.put(parameter.key(), vector.get(NDArrayIndex.interval(from, to)).reshape('f', parameter.rows(), parameter.columns()));
            from = to;
        }
        return views;
    }
}
