package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.Parameter.Role;
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
import java.util.function.Predicate;

/**
 * Lays out a {@link LoRADenseLayer}'s part of the vector: where it is embedded, the frozen parameters in DenseLayer's
 * order and then those of the adapter that do not train; after them what trains. All is in 'f' order.
 *
 * <p>The frozen bias of a layer that trains another one is called {@code b0}.
 */
public final class LoRADenseParamInitializer implements ParamInitializer {

    public static final LoRADenseParamInitializer INSTANCE = new LoRADenseParamInitializer();

    static final String FROZEN_BIAS = "b0";

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
        return numFrozen(lora) + lora.trainedParams();
    }

    private static long numFrozen(LoRADenseLayer lora) {
        return lora.getStorage() == FrozenStorage.EMBEDDED ? DENSE.numParams(lora) + lora.constantParams() : 0;
    }

    // DL4J makes constraints and regularization of these lists: they name what trains.

    @Override
    public List<String> paramKeys(Layer layer) {
        return keys(layer, Parameter::isTrained);
    }

    @Override
    public List<String> weightKeys(Layer layer) {
        return keys(layer, parameter -> parameter.role() == Role.WEIGHT);
    }

    @Override
    public List<String> biasKeys(Layer layer) {
        return keys(layer, parameter -> parameter.role() == Role.BIAS);
    }

    private static List<String> keys(Layer layer, Predicate<Parameter> which) {
        return ((LoRADenseLayer) layer).adapterParameters().stream().filter(which).map(Parameter::key).toList();
    }

    @Override
    public boolean isWeightParam(Layer layer, String key) {
        return ((LoRADenseLayer) layer).roleOf(key) == Role.WEIGHT;
    }

    @Override
    public boolean isBiasParam(Layer layer, String key) {
        return ((LoRADenseLayer) layer).roleOf(key) == Role.BIAS;
    }

    @Override
    public Map<String, INDArray> init(NeuralNetConfiguration conf, INDArray view, boolean initialize) {
        LoRADenseLayer lora = (LoRADenseLayer) conf.getLayer();
        Map<String, INDArray> table = new LinkedHashMap<>();
        Map<String, INDArray> stock = null;
        if (lora.getStorage() == FrozenStorage.EMBEDDED) {
            long dense = DENSE.numParams(lora);
            stock = DENSE.init(conf, interval(view, 0, dense), initialize);
            stock.forEach((key, value) -> table.put(frozenKey(lora, key), value));
            if (lora.constantParams() > 0) {
                table.putAll(AdapterStart.views(lora.adapterParameters(false), interval(view, dense, numFrozen(lora))));
            }
        } else if (initialize) {
            stock = sharedStock(lora, view.dataType());
        }
        Map<String, INDArray> trained = trained(lora, view);
        table.putAll(trained);
        trained.keySet().forEach(conf::addVariable);
        if (initialize) {
            long seed = Nd4j.getRandom().nextLong();
            Map<String, INDArray> start = AdapterStart.of(lora, stock, view.dataType(), seed);
            start.forEach((key, value) -> {
                if (table.containsKey(key)) {
                    table.get(key).assign(value);
                }
            });
            if (lora.getStorage() == FrozenStorage.SHARED) {
                AdapterStart.keepConstants(lora, start, seed);
            }
        }
        return table;
    }

    /** What a parameter of the stock layer is called in the table of an embedded one. */
    public static String frozenKey(LoRADenseLayer lora, String key) {
        return lora.isTrainBias() && key.equals(DefaultParamInitializer.BIAS_KEY) ? FROZEN_BIAS : key;
    }

    /** Fresh ones for a layer that was declared; else those it has, empty where this JVM has not got them. */
    private static Map<String, INDArray> sharedStock(LoRADenseLayer lora, DataType type) {
        if (lora.getFrozen() == null) {
            lora.setFrozen(freshFrozen(lora, type));
        } else if (!lora.startsFromStock()) {
            return Map.of();
        }
        return frozenTable(lora, lora.getFrozen().require(lora.getLayerName()).valuesAs(type), false);
    }

    private static FrozenReference freshFrozen(LoRADenseLayer lora, DataType type) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray values = Nd4j.create(type, DENSE.numParams(lora));
            return FrozenReference.to(FrozenWeights.of(values, frozenTable(lora, values, true)), null);
        }
    }

    /** DenseLayer's own parameters as views of {@code values}: W {@code [nIn, nOut]}, b and g {@code [nOut]}. */
    public static Map<String, INDArray> frozenTable(LoRADenseLayer lora, INDArray values, boolean initialize) {
        NeuralNetConfiguration conf = new NeuralNetConfiguration();
        conf.setLayer(lora);
        return DENSE.init(conf, values, initialize);
    }

    @Override
    public Map<String, INDArray> getGradientsFromFlattened(NeuralNetConfiguration conf, INDArray view) {
        return trained((LoRADenseLayer) conf.getLayer(), view);
    }

    private static Map<String, INDArray> trained(LoRADenseLayer lora, INDArray view) {
        return AdapterStart.views(lora.adapterParameters(true), interval(view, numFrozen(lora), view.length()));
    }

    private static INDArray interval(INDArray view, long from, long to) {
        return view.reshape(view.length()).get(NDArrayIndex.interval(from, to));
    }
}
