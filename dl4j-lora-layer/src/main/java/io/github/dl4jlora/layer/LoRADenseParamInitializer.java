package io.github.dl4jlora.layer;

import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.frozen.FrozenReference;
import io.github.dl4jlora.frozen.FrozenWeights;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Lays out a {@link LoRADenseLayer}'s part of the vector: the frozen parameters in DenseLayer's order (embedded only),
 * then A, then B, all in 'f' order.
 */
final class LoRADenseParamInitializer implements ParamInitializer {

    static final LoRADenseParamInitializer INSTANCE = new LoRADenseParamInitializer();

    private static final DefaultParamInitializer DENSE = DefaultParamInitializer.getInstance();

    private LoRADenseParamInitializer() {
    }

    @Override
    public long numParams(NeuralNetConfiguration conf) {
        return numParams(conf.getLayer());
    }

    @Override
    public long numParams(Layer layer) {
        LoRADenseLayer lora = (LoRADenseLayer) layer;
        return numFrozen(lora) + lora.getRank() * (lora.getNIn() + lora.getNOut());
    }

    private static long numFrozen(LoRADenseLayer lora) {
        return lora.getStorage() == FrozenStorage.EMBEDDED ? DENSE.numParams(lora) : 0;
    }

    // DL4J makes constraints and regularization of these lists: they name what trains.

    @Override
    public List<String> paramKeys(Layer layer) {
        return weightKeys(layer);
    }

    @Override
    public List<String> weightKeys(Layer layer) {
        return List.of(LoRAParams.A, LoRAParams.B);
    }

    @Override
    public List<String> biasKeys(Layer layer) {
        return List.of();
    }

    @Override
    public boolean isWeightParam(Layer layer, String key) {
        return LoRADenseLayer.isTrained(key);
    }

    @Override
    public boolean isBiasParam(Layer layer, String key) {
        return false;
    }

    @Override
    public Map<String, INDArray> init(NeuralNetConfiguration conf, INDArray view, boolean initialize) {
        LoRADenseLayer lora = (LoRADenseLayer) conf.getLayer();
        Map<String, INDArray> table = new LinkedHashMap<>();
        long frozen = numFrozen(lora);
        if (frozen > 0) {
            table.putAll(DENSE.init(conf, interval(view, 0, frozen), initialize));
        } else if (initialize && lora.getFrozen() == null) {
            lora.setFrozen(freshFrozen(lora, view.dataType()));
        }
        putTrained(lora, view, table);
        conf.addVariable(LoRAParams.A);
        conf.addVariable(LoRAParams.B);
        if (initialize) {
            LoRAParams.initialize(table.get(LoRAParams.A), table.get(LoRAParams.B), lora.getLoraInit());
        }
        return table;
    }

    private static FrozenReference freshFrozen(LoRADenseLayer lora, DataType type) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray values = Nd4j.create(type, DENSE.numParams(lora));
            return FrozenReference.to(FrozenWeights.of(values, frozenTable(lora, values, true)), null);
        }
    }

    /** DenseLayer's own parameters as views of {@code values}: W {@code [nIn, nOut]}, b and g {@code [nOut]}. */
    static Map<String, INDArray> frozenTable(LoRADenseLayer lora, INDArray values, boolean initialize) {
        NeuralNetConfiguration conf = new NeuralNetConfiguration();
        conf.setLayer(lora);
        return DENSE.init(conf, values, initialize);
    }

    @Override
    public Map<String, INDArray> getGradientsFromFlattened(NeuralNetConfiguration conf, INDArray view) {
        Map<String, INDArray> table = new LinkedHashMap<>();
        putTrained((LoRADenseLayer) conf.getLayer(), view, table);
        return table;
    }

    private static void putTrained(LoRADenseLayer lora, INDArray view, Map<String, INDArray> table) {
        long a = numFrozen(lora);
        long b = a + lora.getNIn() * lora.getRank();
        table.put(LoRAParams.A, interval(view, a, b).reshape('f', lora.getNIn(), lora.getRank()));
        table.put(LoRAParams.B, interval(view, b, view.length()).reshape('f', lora.getRank(), lora.getNOut()));
    }

    private static INDArray interval(INDArray view, long from, long to) {
        return view.reshape(view.length()).get(NDArrayIndex.interval(from, to));
    }
}
