package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;

import static org.assertj.core.api.Assertions.assertThat;

@ExtendWith(DoublePrecision.class)
class BertGradientsTest {

    @Test
    void everyParameterOfAnEncoderHasTheGradientThatFiniteDifferencesShow() {
        assertThat(check(Encoders.tiny(DataType.DOUBLE, new NoOp()))).isTrue();
    }

    @Test
    void adaptersOnQueryAndValueHaveTheGradientThatFiniteDifferencesShow() {
        ComputationGraph base = Encoders.tiny(DataType.DOUBLE, new NoOp());
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(2).targets("encoder.*\\.(query|value)")
                .trainable("classifier").updater(new NoOp()).build());
        adapted.params().addi(Nd4j.randn(DataType.DOUBLE, adapted.params().shape()).muli(0.3));

        assertThat(check(adapted)).isTrue();
    }

    private static boolean check(ComputationGraph graph) {
        return GradientCheckUtil.checkGradients(new GradientCheckUtil.GraphConfig().net(graph)
                .inputs(new INDArray[]{Encoders.ids(DataType.DOUBLE)}).labels(new INDArray[]{Encoders.labels(DataType.DOUBLE)})
                .epsilon(1e-6).maxRelError(1e-5).minAbsoluteError(1e-9).print(GradientCheckUtil.PrintMode.FAILURES_ONLY));
    }
}
