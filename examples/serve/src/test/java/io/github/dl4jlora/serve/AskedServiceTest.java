package io.github.dl4jlora.serve;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.models.encoder.EncoderTargets;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.retrieval.TrainedService;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;

import static org.assertj.core.api.Assertions.assertThat;

/** The last part of the retrieval example: what was trained is served, and asked by OpenAI's client. */
@Tag("serve")
class AskedServiceTest {

    @Test
    void baseAndAdapterAreServedAndAsked(@TempDir Path adapters) throws Exception {
        ComputationGraph tuned = LoRA.apply(PretrainedEncoder.MINILM.sentenceEncoder(), LoRAConfig.builder().rank(2)
                .targets(EncoderTargets.QUERY_VALUE).seed(1).build());
        tuned.params().assign(Nd4j.randn(tuned.params().shape(), Nd4j.getRandomFactory().getNewRandomInstance(1)).muli(0.1));
        LoRAAdapter.of(tuned).save(adapters.resolve("words"));
        StringWriter out = new StringWriter();
        CommandLine line = new CommandLine(CommandSpec.create()).setOut(new PrintWriter(out)).setErr(new PrintWriter(out));
        Checks checks = new Checks(line);

        assertThat(ServiceLoader.load(TrainedService.class)).hasExactlyElementsOfTypes(AskedService.class).allSatisfy(service ->
                service.ask(PretrainedEncoder.MINILM, adapters, 16, List.of(new TrainedService.Question("words",
                        "a bowed instrument", List.of("violin", "ladder", "rain"))), line.getOut(), checks));

        assertThat(checks.exitCode()).as(out.toString()).isZero();
        assertThat(out.toString()).contains("\"a bowed instrument\" finds its answer at place 1 of 3 by the base",
                "ok      words: base and adapter embed as the networks do",
                "ok      words: rerank gives the cosines of the embeddings");
    }
}
