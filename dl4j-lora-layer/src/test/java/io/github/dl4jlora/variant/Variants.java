package io.github.dl4jlora.variant;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.provider.Arguments;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Every variant, start and bias setting by a name, and what is the same about testing them. */
public enum Variants {

    PLAIN(config -> { }),
    LORA_FA(config -> config.variant(new FrozenALoRA())),
    DORA(config -> config.variant(new DoRA())),
    PISSA(config -> config.loraInit(LoRAInit.PISSA)),
    PISSA_RANDOMISED(config -> config.loraInit(LoRAInit.PISSA).pissaIterations(4)),
    OLORA(config -> config.loraInit(LoRAInit.OLORA)),
    ORTHOGONAL(config -> config.loraInit(LoRAInit.ORTHOGONAL)),
    BIAS(config -> config.bias(BiasTraining.LORA_ONLY)),
    LORA_PLUS(config -> config.loraPlusRatio(16)),
    DORA_PISSA_BIAS(config -> config.variant(new DoRA()).loraInit(LoRAInit.PISSA).bias(BiasTraining.LORA_ONLY)),
    LORA_FA_OLORA_BIAS(config -> config.variant(new FrozenALoRA()).loraInit(LoRAInit.OLORA).bias(BiasTraining.LORA_ONLY));

    private final Consumer<LoRAConfig.Builder> settings;

    Variants(Consumer<LoRAConfig.Builder> settings) {
        this.settings = settings;
    }

    /** Rank 2 on the layers fc1 and fc2. */
    public LoRAConfig.Builder config() {
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).alpha(1.5);
        settings.accept(config);
        return config;
    }

    public boolean isDora() {
        return this == DORA || this == DORA_PISSA_BIAS;
    }

    static Stream<Arguments> everywhere() {
        return Arrays.stream(values()).flatMap(variant -> Arrays.stream(FrozenStorage.values()).flatMap(storage ->
                Stream.of(Engine.FUSED, Engine.SAMEDIFF).map(engine -> Arguments.of(variant, storage, engine))));
    }

    /** Moves everything that trains in adapted dense layers, as if trained. */
    public static <M extends Model> M disturb(M network) {
        Layer[] layers = network instanceof ComputationGraph graph ? graph.getLayers() : ((MultiLayerNetwork) network)
                .getLayers();
        long seed = 5;
        for (Layer layer : layers) {
            if (layer.conf().getLayer() instanceof LoRADenseLayer lora) {
                for (Map.Entry<String, INDArray> parameter : layer.paramTable(false).entrySet()) {
                    if (lora.trains(parameter.getKey())) {
                        INDArray value = parameter.getValue();
                        value.addi(Networks.random(value.dataType(), seed++, value.shape()).muli(0.3));
                    }
                }
            }
        }
        return network;
    }
}
